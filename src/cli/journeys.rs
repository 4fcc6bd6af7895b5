//! Consents that were given on Enedis' page and whose meter is not known yet, for `status` and `doctor`.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::domain::paris;
use crate::engine::consents::TAKEN_UP_FOR;
use crate::store::{Journey, Store, StoreError};

/// Seconds after which nobody is told any more of a consent whose meter never came: it came to nothing.
const NAMED_FOR: i64 = 30 * 86_400;

/// How much of an authorisation's number is shown: it stands for a household, as a PRM does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Number {
    Whole(i64),
    /// Its last digits.
    Masked(String),
}

/// At most so many digits of a masked number are shown, and never more than half.
const SHOWN: usize = 4;

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Masked(end) => write!(f, "…{end}"),
        }
    }
}

/// A consent whose meter Enedis had not listed when its journey ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    /// The source whose application asked.
    pub(crate) source: String,
    /// The number of the authorisation, as far as it is shown.
    number: Number,
    /// When it was given.
    given_at: DateTime<Utc>,
    /// Until when passes look for its meter.
    looked_for_until: DateTime<Utc>,
}

/// Those of these journeys that are worth naming at `now` (machine), the newest first.
pub(crate) fn open(journeys: Vec<Journey>, now: DateTime<Utc>) -> Vec<Open> {
    let open = |journey: Journey| {
        let answered_at = journey.answered_at.filter(|at| now.timestamp() - at < NAMED_FOR)?;
        Some(Open {
            source: journey.source,
            number: Number::Whole(journey.number?),
            given_at: DateTime::from_timestamp(answered_at, 0)?,
            looked_for_until: DateTime::from_timestamp(answered_at + TAKEN_UP_FOR, 0)?,
        })
    };
    journeys.into_iter().filter_map(open).collect()
}

/// The same, as a store has them.
pub(crate) async fn gather(store: &dyn Store, now: DateTime<Utc>) -> Result<Vec<Open>, StoreError> {
    Ok(open(store.unfinished_journeys().await?, now))
}

impl Open {
    /// The same for whoever may look at a page: with the end of the number alone.
    pub(crate) fn masked(self) -> Self {
        let Number::Whole(number) = self.number else { return self };
        let digits = number.unsigned_abs().to_string();
        let hidden = digits.len() - SHOWN.min(digits.len() / 2);
        Self { number: Number::Masked(digits.chars().skip(hidden).collect()), ..self }
    }

    /// What happened and what to do, without a full stop.
    pub(crate) fn sentence(&self, now: DateTime<Utc>) -> String {
        let (given, until) = (paris::today(self.given_at), paris::today(self.looked_for_until));
        let number = &self.number;
        if self.looked_for_until > now {
            format!(
                "a consent was given on {given} (authorisation {number}), and Enedis has not listed its meter yet; passes \
                 look for it until {until}, and `linkyd authorize --continue` looks now"
            )
        } else {
            format!(
                "a consent was given on {given} (authorisation {number}), but Enedis never listed its meter; \
                 `linkyd authorize --continue` looks once more, or else give it anew with `linkyd authorize`"
            )
        }
    }

    /// Its entry in documents.
    pub(crate) fn document(&self) -> Value {
        let number = match &self.number {
            Number::Whole(number) => json!(number),
            masked @ Number::Masked(_) => json!(masked.to_string()),
        };
        json!({
            "source": self.source,
            "authorisation": number,
            "given_at": self.given_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "looked_for_until": self.looked_for_until.to_rfc3339_opts(SecondsFormat::Secs, true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Api;

    #[test]
    fn a_masked_number_ends_as_the_whole_one_does() {
        for (number, shown) in [(987_654_321, "…4321"), (4_242, "…42"), (12, "…2"), (7, "…")] {
            let open = Open {
                source: "enedis".to_owned(),
                number: Number::Whole(number),
                given_at: DateTime::UNIX_EPOCH,
                looked_for_until: DateTime::UNIX_EPOCH,
            };
            assert_eq!(open.document()["authorisation"], number);
            assert_eq!(open.masked().document()["authorisation"], shown);
        }
    }

    #[test]
    fn a_consent_without_a_meter_is_named_for_a_month() {
        let given: DateTime<Utc> = "2026-11-24T09:00:00Z".parse().unwrap();
        let journey = |number, answered_at| Journey {
            state: "digest".to_owned(),
            source: "enedis".to_owned(),
            api: Api::V2026,
            duration: "P3Y".to_owned(),
            begun_at: given.timestamp() - 60,
            answered_at,
            number,
            done_at: None,
        };
        let days = |days: i64| given + chrono::TimeDelta::days(days);
        let at = Some(given.timestamp());
        for (now, words) in [(0, "until 2026-12-01"), (6, "--continue"), (7, "never listed"), (29, "never listed")] {
            let found = open(vec![journey(Some(42), at)], days(now));
            assert!(found[0].sentence(days(now)).contains(words), "{now}: {}", found[0].sentence(days(now)));
        }
        assert_eq!(open(vec![journey(Some(42), at)], days(30)), []);
        assert_eq!(open(vec![journey(None, at), journey(Some(42), None)], days(0)), []);
    }
}
