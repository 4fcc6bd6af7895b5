//! What a visit or a pasted line is worth to whoever waits for the answer of one journey, and what the browser's
//! page says of it. An answer of another journey changes nothing, but is named for what it is.

use std::fmt;

use crate::http::callback::Said;
use crate::source::enedis::consent::{Failed, Given};
use crate::store::Journey;

/// How long a journey may take that nobody waits for (seconds): links may be sent by mail.
const VALID: i64 = 7 * 86_400;

/// How a journey of this database stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// It can be answered.
    Open,
    /// It brought an authorisation whose meter is still to be found.
    GoesOn,
    /// It was answered, and is over.
    Over,
    /// It was not answered, and is too old to be.
    Expired,
}

impl Stands {
    /// How that one stands at `now` (machine, seconds).
    pub(super) fn of(journey: &Journey, now: i64) -> Self {
        match (journey.answered_at, journey.number, journey.done_at) {
            (Some(_), Some(_), None) => Self::GoesOn,
            (Some(_), ..) => Self::Over,
            (None, ..) if now - journey.begun_at > VALID => Self::Expired,
            (None, ..) => Self::Open,
        }
    }
}

/// Something that is no answer to the journey that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stray {
    /// Nobody knows to which it belongs, for that reason.
    Unknown(Failed),
    /// It belongs to another one of this database, which stands like that.
    Other(Stands),
}

impl Stray {
    /// Its code, of those of the journeys.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unknown(failed) => failed.code(),
            Self::Other(Stands::Open) => Failed::OtherState.code(),
            Self::Other(Stands::GoesOn | Stands::Over) => Failed::Used.code(),
            Self::Other(Stands::Expired) => Failed::Expired.code(),
        }
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown(Failed::NotTheRedirect) => "this is not the address to which Enedis sends the browser",
            Self::Unknown(Failed::CutOff) => "the address is cut off: its state is missing, or not all of it is there",
            Self::Unknown(Failed::OtherState) => {
                "the answer does not belong to the journey that linkyd waits for: its state is another one, an old one \
                 perhaps, or somebody else's"
            }
            Self::Unknown(failed) => return fmt::Display::fmt(failed, f),
            Self::Other(Stands::Open) => {
                "the answer belongs to another journey, which can still be answered: give this address to \
                 `linkyd authorize --url -`"
            }
            Self::Other(Stands::GoesOn | Stands::Over) => {
                "the answer belongs to an earlier journey that was answered already, and each is good for once"
            }
            Self::Other(Stands::Expired) => {
                "the answer belongs to an earlier journey, which was begun more than a week ago and has expired"
            }
        })
    }
}

/// What came, as far as the journey is concerned that is waited for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Its answer.
    Answer(Result<Given, Failed>),
    /// None of it.
    Stray(Stray),
}

impl Judged {
    /// Of what was read, where the journey whose state it has stands like that; `None` where that is not known.
    pub(super) fn of(read: Result<Given, Failed>, stands: Option<Stands>) -> Self {
        match (read, stands) {
            (Err(Failed::OtherState), Some(stands)) => Self::Stray(Stray::Other(stands)),
            (Err(failed), _) if failed.is_stray() => Self::Stray(Stray::Unknown(failed)),
            (_, Some(Stands::Expired)) => Self::Answer(Err(Failed::Expired)),
            (_, Some(Stands::Over)) => Self::Answer(Err(Failed::Used)),
            (read, _) => Self::Answer(read),
        }
    }

    /// What the browser's page tells.
    pub(super) fn page(&self) -> Said {
        let good = |text: String| Said { good: true, title: "Thank you".to_owned(), text };
        match self {
            Self::Answer(Ok(Given::Meters(prms))) => {
                let prms: Vec<String> = prms.iter().map(ToString::to_string).collect();
                good(format!("The consent has arrived, for: {}. linkyd goes on by itself.", prms.join(", ")))
            }
            Self::Answer(Ok(Given::Authorisation(_))) => good(
                "The consent has arrived. linkyd now asks Enedis which meter it is for, and goes on by itself."
                    .to_owned(),
            ),
            Self::Answer(Err(failed)) => bad(&failed.to_string(), ""),
            Self::Stray(stray) => bad(
                &stray.to_string(),
                " linkyd still waits for the right answer: open the page whose address it printed, and stay on it until \
                 it sends you back.",
            ),
        }
    }
}

/// A page about something that did not work, with what to do.
fn bad(what: &str, and: &str) -> Said {
    let mut text = what.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Said { good: false, title: "This did not work".to_owned(), text: format!("{text}.{and}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Api;

    fn journey(answered_at: Option<i64>, number: Option<i64>, done_at: Option<i64>) -> Journey {
        Journey {
            state: "digest".to_owned(),
            source: "enedis".to_owned(),
            api: Api::V2026,
            duration: "P3Y".to_owned(),
            begun_at: 1_000,
            answered_at,
            number,
            done_at,
        }
    }

    #[test]
    fn a_journey_expires_after_a_week_unless_it_was_answered() {
        let week = 1_000 + 7 * 86_400;
        for (journey, now, stands) in [
            (journey(None, None, None), week, Stands::Open),
            (journey(None, None, None), week + 1, Stands::Expired),
            (journey(Some(2_000), None, Some(2_000)), week + 1, Stands::Over),
            (journey(Some(2_000), Some(42), None), week + 1, Stands::GoesOn),
            (journey(Some(2_000), Some(42), Some(3_000)), 4_000, Stands::Over),
        ] {
            assert_eq!(Stands::of(&journey, now), stands, "{journey:?}");
        }
    }

    #[test]
    fn what_came_is_named_for_what_it_is() {
        let given = || Ok(Given::Authorisation(42));
        let refused = || Err(Failed::Refused);
        let stateless = || Err(Failed::NoState(Box::new(Failed::Refused)));
        for (read, stands, judged) in [
            (given(), None, Judged::Answer(given())),
            (given(), Some(Stands::Open), Judged::Answer(given())),
            (given(), Some(Stands::GoesOn), Judged::Answer(given())),
            (given(), Some(Stands::Over), Judged::Answer(Err(Failed::Used))),
            (given(), Some(Stands::Expired), Judged::Answer(Err(Failed::Expired))),
            (refused(), Some(Stands::Expired), Judged::Answer(Err(Failed::Expired))),
            (stateless(), None, Judged::Answer(stateless())),
            (Err(Failed::OtherState), None, Judged::Stray(Stray::Unknown(Failed::OtherState))),
            (Err(Failed::OtherState), Some(Stands::Over), Judged::Stray(Stray::Other(Stands::Over))),
            (Err(Failed::CutOff), None, Judged::Stray(Stray::Unknown(Failed::CutOff))),
        ] {
            assert_eq!(Judged::of(read, stands), judged);
        }
    }

    #[test]
    fn the_page_of_a_stray_says_that_the_wait_goes_on() {
        for (stray, code, words) in [
            (Stray::Unknown(Failed::OtherState), "consent_state", "its state is another one"),
            (Stray::Unknown(Failed::CutOff), "consent_cut_off", "cut off"),
            (Stray::Unknown(Failed::NotTheRedirect), "consent_address", "not the address"),
            (Stray::Other(Stands::Open), "consent_state", "--url -"),
            (Stray::Other(Stands::GoesOn), "consent_used", "answered already"),
            (Stray::Other(Stands::Over), "consent_used", "answered already"),
            (Stray::Other(Stands::Expired), "consent_expired", "has expired"),
        ] {
            assert_eq!(stray.code(), code);
            let said = Judged::Stray(stray).page();
            assert!(!said.good && said.text.contains(words) && said.text.contains("still waits"), "{}", said.text);
            assert!(!said.text.contains("begin anew"), "{}", said.text);
        }
        let said = Judged::Answer(Err(Failed::Expired)).page();
        assert!(said.text.starts_with("This journey was begun more than a week ago"), "{}", said.text);
        assert!(!said.text.contains("still waits"), "{}", said.text);
    }
}
