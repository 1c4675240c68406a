//! The launch room.
