//! What can go wrong with a call, each by a name of its own (docs/simulator.md lists them).

use serde::Deserialize;

use super::refusal::Envelope;
use super::text;
use crate::domain::Day;

/// How a throttled answer tells when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A `Retry-After` header in seconds.
    RetryAfter,
    /// A `Retry-After` header with a date.
    HttpDate,
    /// The gateway's `nextAccessTime`.
    NextAccessTime,
    /// A sentence with a delay, as in 2020.
    Threshold,
    /// The same with the malformed negative delay that was seen.
    NegativeThreshold,
    /// Not at all.
    Bare,
    /// The year 9999.
    Absurd,
    /// The burst limit, code 900807.
    Burst,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Waits before it answers.
    Slow {
        /// At least so long.
        delay_ms: u64,
        /// Up to so much longer.
        #[serde(default)]
        jitter_ms: u64,
    },
    /// Another status, in any envelope.
    Status {
        /// The status.
        status: u16,
        /// Shape of the body.
        #[serde(default)]
        envelope: Envelope,
        /// Code in the body.
        #[serde(default)]
        code: String,
        /// Text in the body.
        #[serde(default)]
        text: String,
    },
    /// 429 with what it says about the time.
    Throttle {
        /// How it says it.
        form: Form,
        /// When one may come back, in seconds from now by the machine's clock.
        #[serde(default)]
        seconds: i64,
    },
    /// A redirect.
    Redirect {
        /// Where to.
        to: String,
    },
    /// Closes the connection instead of answering.
    Cut,
    /// Closes the connection in the middle of the body.
    CutBody,
    /// One byte, a delay, one byte …
    Drip {
        /// Delay between two bytes.
        delay_ms: u64,
    },
    /// A body of so many MiB that is JSON as far as one can see.
    Endless {
        /// Size.
        mib: u64,
    },
    /// The same size, compressed to less than a hundredth.
    GzipBomb {
        /// Size once inflated.
        mib: u64,
    },
    /// An enormous header.
    HugeHeader {
        /// Its size.
        kib: usize,
    },
    /// Ends in the middle of the JSON, without an error of the transport.
    Truncated,
    /// Bytes that are no UTF-8.
    InvalidUtf8,
    /// Another content type.
    ContentType {
        /// Which.
        value: String,
    },
    /// The answer names another meter.
    WrongPrm,
    /// The answer is one of the other direction.
    WrongDirection,
    /// The answer is one of other days, thirty days earlier.
    WrongDays,
    /// Points in another order.
    Shuffled,
    /// Some points twice, right after each other.
    Duplicated {
        /// With another value the second time.
        #[serde(default)]
        conflicting: bool,
    },
    /// Points of the day before and of the day after the span.
    Outside,
    /// Values of some points are replaced.
    Value {
        /// What stands there instead, written as JSON: `null`, `12`, `"NaN"`.
        json: String,
        /// Which points, from 0; all where left out.
        #[serde(default)]
        points: Vec<usize>,
    },
    /// Values are numbers instead of text.
    Numbers,
    /// The length of intervals is not given.
    NoLength,
    /// The length of intervals is given as that.
    Length {
        /// What stands there.
        text: String,
    },
    /// A point that lies some minutes off the grid is added.
    OffGrid,
    /// A day is left out.
    DayLeftOut {
        /// Which; the last one where left out.
        #[serde(default, deserialize_with = "text::some")]
        day: Option<Day>,
    },
    /// Only the first points of a day are there.
    PartOfDay {
        /// Which; the last one where left out.
        #[serde(default, deserialize_with = "text::some")]
        day: Option<Day>,
        /// So many points.
        points: usize,
    },
    /// A batch of the second gateway leaves out the days of one chunk and says nothing of it.
    LostChunk {
        /// Which, from 0, in the order of days.
        chunk: usize,
    },
    /// The second gateway's quota is another one for the calls that this concerns.
    Quota {
        /// Calls past the cache in a day; as it was where left out.
        #[serde(default)]
        uncached: Option<u64>,
        /// Calls through the cache in a day; as it was where left out.
        #[serde(default)]
        cached: Option<u64>,
    },
    /// The second gateway tells the state of its quota in headers.
    RateHeaders {
        /// What stands before `-Limit`, `-Remaining` and `-Reset`.
        #[serde(default = "rate_headers")]
        prefix: String,
    },
}

fn rate_headers() -> String {
    "X-RateLimit".to_owned()
}
