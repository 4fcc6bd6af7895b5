//! Repeatable chance: a number that depends on nothing but what it is asked for.
//!
//! A generator with a state would give other weather to whoever asks in another order. Here each
//! draw is a hash of its coordinates (seed, meter, day, slot), so any interval of any year can be
//! computed alone and always comes out the same, on every machine: there is no floating point.

/// A point in the space of draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noise(u64);

impl Noise {
    /// Where a world's draws begin.
    pub(super) fn new(seed: u64) -> Self {
        Self(scramble(seed))
    }

    /// The point one coordinate further.
    pub(super) fn at(self, coordinate: i64) -> Self {
        Self(scramble(self.0.rotate_left(17) ^ coordinate.cast_unsigned()))
    }

    /// A number from 0 up to but without `limit`.
    pub(super) fn below(self, limit: i64) -> i64 {
        (self.0 >> 1).cast_signed() % limit.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn within(self, low: i64, high: i64) -> i64 {
        low + self.below(high - low + 1)
    }

    /// True in so many cases of a thousand.
    pub(super) fn chance(self, permille: i64) -> bool {
        self.below(1000) < permille
    }
}

/// Spreads every input bit over the whole word; multiplying by odd constants loses nothing.
fn scramble(word: u64) -> u64 {
    let word = (word ^ (word >> 31)).wrapping_mul(0xD6E8_FEB8_6659_FD93).wrapping_add(0x2545_F491_4F6C_DD1D);
    let word = (word ^ (word >> 29)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    word ^ (word >> 32)
}

/// Sine in thousandths of an angle in tenths of a degree, by a rational approximation that is
/// exact at 0, 30, 90, 150 and 180 degrees.
pub(super) fn sine(tenths: i64) -> i64 {
    let tenths = tenths.rem_euclid(3600);
    if tenths > 1800 {
        return -sine(tenths - 1800);
    }
    let product = tenths * (1800 - tenths);
    4000 * product / (4_050_000 - product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_repeatable_and_spread() {
        let noise = Noise::new(7);
        assert_eq!(noise.at(3).below(1000), Noise::new(7).at(3).below(1000));
        let hits = (0..10_000).filter(|i| noise.at(*i).chance(100)).count();
        assert!((800..1200).contains(&hits), "{hits}");
        let mean = (0..10_000).map(|i| noise.at(i).below(1000)).sum::<i64>() / 10_000;
        assert!((480..520).contains(&mean), "{mean}");
    }

    #[test]
    fn sine_is_good_enough_for_the_sun() {
        for (angle, value) in [(0, 0), (300, 500), (900, 1000), (1800, 0), (2700, -1000), (-900, -1000), (3900, 500)] {
            assert!((sine(angle) - value).abs() <= 2, "{angle}: {}", sine(angle));
        }
    }
}
