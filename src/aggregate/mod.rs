//! The aggregate room.
