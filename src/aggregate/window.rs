//! Tumbling windows: aligned to the Unix epoch, before it too; start inclusive, end exclusive.

use crate::event::Micros;

/// The start of the window of `width` microseconds that holds `time`.
pub fn start(time: Micros, width: Micros) -> Micros {
    time.saturating_sub(time.rem_euclid(width))
}

pub fn end(start: Micros, width: Micros) -> Micros {
    start.saturating_add(width)
}

/// Had the window ended by this watermark?
pub fn has_ended(start: Micros, width: Micros, watermark: Micros) -> bool {
    end(start, width) <= watermark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_aligned_before_1970_too() {
        assert_eq!([-61, -60, -1, 0, 59, 60].map(|time| start(time, 60)), [-120, -60, -60, 0, 0, 60]);
        assert_eq!(start(Micros::MIN, 60), Micros::MIN);
        assert!(!has_ended(start(Micros::MAX, 60), 60, Micros::MAX - 100));
        assert!(has_ended(0, 60, 60) && !has_ended(0, 60, 59));
    }
}
