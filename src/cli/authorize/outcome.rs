//! How a journey ended, in words, as a document and as an exit code.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::super::Trouble;
use super::super::render::number;
use crate::config::Loaded;
use crate::domain::services::Standing;
use crate::domain::{Api, Dataset, paris};
use crate::engine::consents::{Looked, is_listed};
use crate::engine::react;
use crate::exit::Exit;
use crate::source::catalogue::outcomes;
use crate::source::enedis::consent::Failed;
use crate::source::{Reaction, Refusal, catalogue};
use crate::store::{Authorisation, EndKnown};

/// How a journey ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With these meters, which are stored.
    Granted(Vec<Authorisation>),
    /// With nothing.
    Failed(Failed),
    /// With an authorisation whose meter is not known.
    Unlisted {
        /// Its number.
        number: i64,
        /// What the last look brought.
        looked: Looked,
    },
    /// There is nothing to go on with.
    NothingToProceed,
    /// Somebody asked to stop.
    Stopped {
        /// The authorisation that it brought by then.
        number: Option<i64>,
    },
}

/// What became of it otherwise than well: a code for scripts, and what happened and what to do.
struct Amiss {
    code: String,
    message: String,
    exit: Exit,
}

impl Ended {
    /// The exit code that says it.
    pub(super) fn exit(&self) -> Exit {
        self.amiss().map_or(Exit::Done, |amiss| amiss.exit)
    }

    fn amiss(&self) -> Option<Amiss> {
        let later = "; `linkyd authorize --continue` goes on from here";
        let amiss = |code: &str, message: String, exit| Some(Amiss { code: code.to_owned(), message, exit });
        match self {
            Self::Granted(_) => None,
            Self::Failed(failed) => amiss(failed.code(), failed.to_string(), exit_of(failed)),
            Self::NothingToProceed => {
                amiss(outcomes::NOTHING_OPEN.code, "there is no journey to go on with".to_owned(), Exit::Usage)
            }
            Self::Stopped { number: Some(_) } => {
                amiss(outcomes::STOPPED.code, format!("stopped; the consent is given{later}"), Exit::TryLater)
            }
            Self::Stopped { number: None } => amiss(
                outcomes::STOPPED.code,
                "stopped; the answer, once it has come, can be given to `linkyd authorize --url -` within a week"
                    .to_owned(),
                Exit::TryLater,
            ),
            Self::Unlisted { number, looked } => match looked {
                Looked::Standing(Standing::Several(prms)) => {
                    let prms: Vec<String> = prms.iter().map(ToString::to_string).collect();
                    let message = format!(
                        "Enedis lists several meters under authorisation {number} ({}), which no consent should; nothing \
                         was stored, please report it",
                        prms.join(", ")
                    );
                    amiss(outcomes::SEVERAL.code, message, Exit::Failed)
                }
                Looked::Standing(Standing::Ended) => amiss(
                    outcomes::ENDED.code,
                    format!("Enedis lists authorisation {number} as over or withdrawn; give the consent again"),
                    Exit::Failed,
                ),
                Looked::Standing(_) => amiss(
                    outcomes::NOT_LISTED.code,
                    format!(
                        "the consent is given (authorisation {number}), but Enedis does not list its meter yet{later}"
                    ),
                    Exit::TryLater,
                ),
                Looked::Refused(refusal) => {
                    let message = react::message(refusal);
                    let message = message.trim_end_matches('.');
                    amiss(
                        &refusal.code,
                        format!("the consent is given, but not its meter: {message}{later}"),
                        of(refusal),
                    )
                }
                Looked::NotMade { until, rests } => {
                    let until =
                        until.map(|until| format!(" until {} (Paris)", number::wall(until))).unwrap_or_default();
                    let why = match rests {
                        Some(why) if !why.is_empty() => {
                            format!("the source rests{until}: {}", why.trim_end_matches('.'))
                        }
                        Some(_) => format!("the source rests{until}"),
                        None => format!("no call is left{until}"),
                    };
                    amiss(
                        outcomes::NOT_MADE.code,
                        format!("the consent is given, but its meter was not asked for: {why}{later}"),
                        Exit::TryLater,
                    )
                }
            },
        }
    }
}

/// The exit code of a journey that failed.
fn exit_of(failed: &Failed) -> Exit {
    match failed {
        Failed::NotTheRedirect | Failed::CutOff | Failed::OtherState | Failed::Used => Exit::Usage,
        Failed::NoState(failed) => exit_of(failed),
        Failed::NotCompleted | Failed::Enedis => Exit::TryLater,
        Failed::NotAccepted(_) => Exit::Configuration,
        Failed::Expired | Failed::Refused | Failed::NoMeter | Failed::NoAnswer => Exit::Failed,
    }
}

/// The exit code of a refused call.
fn of(refusal: &Refusal) -> Exit {
    match refusal.reaction {
        Reaction::Reauth | Reaction::StopApp { .. } => Exit::CredentialsRefused,
        Reaction::RetryShort | Reaction::RetryLater | Reaction::RetryAt(_) | Reaction::Burst => Exit::TryLater,
        _ => Exit::Failed,
    }
}

/// What to say on standard error where it did not end well.
pub(super) fn of_failure(ended: &Ended) -> Option<Trouble> {
    ended.amiss().map(|amiss| Trouble { exit: amiss.exit, message: format!("{} [{}]", amiss.message, amiss.code) })
}

fn end_of(one: &Authorisation) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(one.until?, 0)
}

/// What a person reads where it ended well.
pub(super) fn text(given: &[Authorisation], loaded: &Loaded) -> String {
    let mut text = String::new();
    for one in given {
        let name = loaded.config.meters.iter().find(|meter| meter.prm == one.prm).map(|meter| meter.name.as_str());
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        let until = match (end_of(one), one.learnt) {
            (Some(end), EndKnown::Services) => format!(", until {} as Enedis lists it", paris::today(end)),
            (Some(end), _) => format!(", until {} by the duration asked for", paris::today(end)),
            (None, _) => String::new(),
        };
        let _infallible = writeln!(text, "Granted: meter {}{name}{until}.", one.prm.full());
        if !one.covers.is_empty() {
            let covers: Vec<&str> = one.covers.iter().map(|dataset| dataset.name()).collect();
            let _infallible = writeln!(text, "It covers {}.", covers.join(", "));
        }
        let lacks = lacking(one, loaded);
        if !lacks.is_empty() {
            let lacks: Vec<&str> = lacks.iter().map(|dataset| dataset.name()).collect();
            let _infallible = writeln!(
                text,
                "It does not cover {}, which the configuration asks for; look at what is shared in the customer account.",
                lacks.join(", ")
            );
        }
    }
    text
}

/// The datasets of the configuration that a consent is known not to cover.
fn lacking(one: &Authorisation, loaded: &Loaded) -> Vec<Dataset> {
    let meter = loaded.config.meters.iter().find(|meter| meter.prm == one.prm);
    let wanted = meter.map(|meter| meter.datasets.as_slice()).filter(|_| !one.covers.is_empty()).unwrap_or_default();
    wanted
        .iter()
        .copied()
        .filter(|dataset| is_listed(*dataset))
        .filter(|dataset| !one.covers.contains(dataset))
        .collect()
}

/// The document of `--json`.
pub(super) fn document(ended: &Ended, loaded: &Loaded, source: &str, api: Api, added: bool) -> Value {
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let given: &[Authorisation] = if let Ended::Granted(given) = ended { given } else { &[] };
    let meters: Vec<Value> = given
        .iter()
        .map(|one| {
            let configured = loaded.config.meters.iter().any(|meter| meter.prm == one.prm);
            json!({
                "prm": one.prm.full(),
                "granted_at": DateTime::from_timestamp(one.granted_at, 0).map(instant),
                "consent_until": end_of(one).map(instant),
                "learnt_from": one.learnt.name(),
                "authorisation": one.number,
                "datasets": one.covers.iter().map(|dataset| dataset.name()).collect::<Vec<_>>(),
                "configured": configured,
                "added": added && !configured,
            })
        })
        .collect();
    let number = match ended {
        Ended::Unlisted { number, .. } => Some(*number),
        Ended::Stopped { number } => *number,
        Ended::Granted(_) | Ended::Failed(_) | Ended::NothingToProceed => None,
    };
    let amiss = ended.amiss();
    let first = given.first();
    json!({
        "source": first.map_or(source, |one| one.source.as_str()),
        "api": first.map_or(api, |one| one.api).name(),
        "result": match ended {
            Ended::Granted(_) => "granted",
            Ended::Unlisted { .. } | Ended::Stopped { number: Some(_) } => "unlisted",
            Ended::Stopped { .. } => "stopped",
            Ended::Failed(_) | Ended::NothingToProceed => "failed",
        },
        "authorisation": number,
        "code": amiss.as_ref().map(|amiss| amiss.code.as_str()),
        "retry_helps": amiss.as_ref().and_then(|amiss| catalogue::retry_helps(&amiss.code)),
        "message": amiss.as_ref().map(|amiss| catalogue::named(&amiss.message, source)),
        "meters": meters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_an_exit_code_and_says_what_to_do() {
        let exits: Vec<(&str, Exit)> =
            Failed::every().into_iter().map(|failed| (failed.code(), Ended::Failed(failed).exit())).collect();
        assert_eq!(
            exits,
            [
                ("consent_address", Exit::Usage),
                ("consent_cut_off", Exit::Usage),
                ("consent_state", Exit::Usage),
                ("consent_used", Exit::Usage),
                ("consent_expired", Exit::Failed),
                ("consent_refused", Exit::Failed),
                ("consent_not_completed", Exit::TryLater),
                ("consent_server_error", Exit::TryLater),
                ("consent_not_accepted", Exit::Configuration),
                ("consent_no_meter", Exit::Failed),
                ("consent_no_answer", Exit::Failed),
            ]
        );
        // Without its state a failure is worth as much to whoever has to do something about it.
        for failed in [Failed::NotCompleted, Failed::Enedis, Failed::Refused, Failed::NotAccepted(String::new())] {
            let stateless = Failed::NoState(Box::new(failed.clone()));
            assert_eq!((stateless.retry_helps(), stateless.code()), (failed.retry_helps(), failed.code()));
            assert_eq!(Ended::Failed(stateless).exit(), Ended::Failed(failed).exit());
        }
        let trouble = of_failure(&Ended::Failed(Failed::NoAnswer)).unwrap();
        assert!(trouble.message.contains("delete that share in the customer account"), "{}", trouble.message);
    }

    #[test]
    fn a_consent_whose_meter_is_not_known_can_be_gone_on_with() {
        let refused = |reaction| {
            Looked::Refused(Refusal {
                status: Some(403),
                code: "900908".to_owned(),
                reaction,
                advice: "Subscribe to it.",
                excerpt: String::new(),
                about: None,
            })
        };
        let spoken = || match refused(Reaction::StopApi) {
            Looked::Refused(refusal) => Looked::Refused(Refusal { excerpt: "no subscription".to_owned(), ..refusal }),
            other => other,
        };
        let several = vec!["01234567890123".parse().unwrap(), "12345678901234".parse().unwrap()];
        for (looked, code, exit, words) in [
            (Looked::Standing(Standing::Nothing), "consent_not_listed", Exit::TryLater, "--continue"),
            (Looked::Standing(Standing::Ended), "consent_ended", Exit::Failed, "give the consent again"),
            (Looked::Standing(Standing::Several(several)), "consent_several", Exit::Failed, "0123"),
            (refused(Reaction::StopApi), "900908", Exit::Failed, "Subscribe to it; `linkyd"),
            (spoken(), "900908", Exit::Failed, "Subscribe to it (HTTP 403: no subscription); `linkyd"),
            (refused(Reaction::StopApp { credentials: true }), "900908", Exit::CredentialsRefused, "--continue"),
            (refused(Reaction::RetryAt(None)), "900908", Exit::TryLater, "--continue"),
            (Looked::NotMade { until: None, rests: None }, "not_made", Exit::TryLater, "no call is left"),
            (
                Looked::NotMade { until: None, rests: Some("It is banned.".to_owned()) },
                "not_made",
                Exit::TryLater,
                "rests: It is banned;",
            ),
        ] {
            let ended = Ended::Unlisted { number: 424_242, looked };
            let amiss = ended.amiss().unwrap();
            assert_eq!((amiss.code.as_str(), amiss.exit), (code, exit), "{}", amiss.message);
            assert!(amiss.message.contains(words), "{}", amiss.message);
            assert!(!amiss.message.contains("01234567890123"), "{}", amiss.message);
            // Whoever looks the code up finds it.
            let helps = catalogue::retry_helps(code);
            assert!(helps.is_some_and(|helps| !helps || exit == Exit::TryLater), "{code}: {helps:?}");
        }
    }
}
