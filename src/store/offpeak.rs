//! What a text about off-peak hours means, as rows: SQL cannot read the text.

use crate::domain::OffPeak;
use crate::domain::offpeak::Season;

/// What a text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meaning {
    /// 0 not understood, 1 there are no off-peak hours, 2 the pieces.
    pub(super) kind: i64,
    /// The off-peak hours of both seasons.
    pub(super) pieces: Vec<Piece>,
}

/// Off-peak hours within a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// 0 summer, 1 winter.
    pub(super) season: i64,
    /// First minute after midnight.
    pub(super) from: i32,
    /// The minute after the last one, at most 1440.
    pub(super) to: i32,
}

/// Minutes of a day.
const DAY: i32 = 24 * 60;

impl Meaning {
    /// Whether the text says anything.
    pub(super) fn is_understood(&self) -> bool {
        self.kind != 0
    }

    /// Reads Enedis' text.
    pub(super) fn of(text: &str) -> Self {
        let hours = match OffPeak::parse(text) {
            Err(_) => return Self { kind: 0, pieces: Vec::new() },
            Ok(None) => return Self { kind: 1, pieces: Vec::new() },
            Ok(Some(hours)) => hours,
        };
        let mut pieces = Vec::new();
        for (season, number) in [(Season::Summer, 0), (Season::Winter, 1)] {
            for slot in hours.hours(season).slots() {
                let (from, end) = (i32::from(slot.from()), i32::from(slot.from()) + i32::from(slot.minutes()));
                pieces.push(Piece { season: number, from, to: end.min(DAY) });
                if end > DAY {
                    // What goes over midnight is there in the morning too.
                    pieces.push(Piece { season: number, from: 0, to: end - DAY });
                }
            }
        }
        Self { kind: 2, pieces }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_over_midnight_is_two_pieces() {
        let meaning = Meaning::of("HC (22H30-6H30;13H00-14H30)");
        let pieces: Vec<(i64, i32, i32)> = meaning.pieces.iter().map(|p| (p.season, p.from, p.to)).collect();
        let one = |season| [(season, 780, 870), (season, 1350, 1440), (season, 0, 390)];
        assert_eq!((meaning.kind, pieces), (2, [one(0), one(1)].concat()));
        assert_eq!(Meaning::of("").kind, 1);
        assert_eq!(Meaning::of("HC (sauf dimanche)").kind, 0);
    }
}
