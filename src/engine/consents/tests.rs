//! Waits, and what an authorisation comes to.

use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::domain::services::Standing;
use crate::source::catalogue::{self, Own};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

fn granted() -> Granted {
    Granted {
        prm: "01234567890123".parse().unwrap(),
        measures: vec![
            (Measure::LoadCurve, Direction::Consumption),
            (Measure::DailyEnergy, Direction::Production),
            (Measure::Contract, Direction::Consumption),
        ],
        until: Some("2029-10-05".parse().unwrap()),
    }
}

#[test]
fn an_empty_list_is_asked_for_ever_more_rarely_for_a_day() {
    let (mut waits, mut ago) = (Vec::new(), Duration::ZERO);
    for looks in 1.. {
        let Some(wait) = wait_after(looks, ago) else { break };
        waits.push(wait.as_secs());
        ago += wait;
    }
    assert_eq!(waits[..6], [5, 30, 120, 600, 3600, 3600]);
    assert!(ago <= Duration::from_hours(24) && ago > Duration::from_hours(22), "{ago:?}");
}

async fn run(looks: Vec<Looked>, patience: Duration) -> (Exchanged, Vec<u64>) {
    let clock = Arc::new(ManualClock::new("2026-11-24T11:00:00Z".parse().unwrap()));
    let mut left: VecDeque<Looked> = looks.into();
    let mut waits = Vec::new();
    let stop = CancellationToken::new();
    let look = async || Ok::<_, ()>(left.pop_front().unwrap());
    let done = exchange(look, &*clock, &stop, patience, |wait| waits.push(wait.as_secs())).await.unwrap();
    assert_eq!(clock.monotonic().as_secs(), waits.iter().sum::<u64>(), "each wait is told and waited");
    (done, waits)
}

#[tokio::test]
async fn a_list_that_lags_behind_is_waited_for() {
    let nothing = || Looked::Standing(Standing::Nothing);
    let there = Looked::Standing(Standing::Granted(granted()));
    let hour = Duration::from_hours(1);
    let fault = Looked::Refused(catalogue::own(Own::Timeout, None, ""));
    let (done, waits) = run(vec![nothing(), fault, nothing(), there.clone()], hour).await;
    assert_eq!((done, waits), (Exchanged::Granted(granted()), vec![5, 30, 120]));
    // No longer than somebody has patience.
    let (done, waits) = run(vec![nothing(), nothing(), there], 30 * SECOND).await;
    assert_eq!((done, waits), (Exchanged::Nothing(nothing()), vec![5]));
    // What waiting does not mend is not waited for.
    let refused = Looked::Refused(crate::source::Refusal {
        status: Some(403),
        code: "900908".to_owned(),
        reaction: crate::source::Reaction::StopApi,
        advice: "",
        excerpt: String::new(),
        about: None,
    });
    for looked in [Looked::Standing(Standing::Ended), refused, Looked::NotMade { until: None, rests: None }] {
        assert_eq!(run(vec![looked.clone()], hour).await, (Exchanged::Nothing(looked), vec![]));
    }
}

#[tokio::test]
async fn waiting_ends_when_somebody_asks_to() {
    let clock = ManualClock::new("2026-11-24T11:00:00Z".parse().unwrap());
    let stop = CancellationToken::new();
    stop.cancel();
    let look = async || Ok::<_, ()>(Looked::Standing(Standing::Nothing));
    let done = exchange(look, &clock, &stop, Duration::from_hours(1), |_| {}).await.unwrap();
    assert_eq!(done, Exchanged::Stopped);
}

#[test]
fn enedis_word_about_the_end_counts_before_what_was_reckoned() {
    let now = "2026-11-24T11:00:00Z".parse().unwrap();
    let reckoned = Some("2029-11-24".parse().unwrap());
    let known = of_services("enedis", 424_242, &granted(), reckoned, now);
    // The last day is 5 October, so it is over at the midnight after it, in Paris.
    assert_eq!((known.until, known.learnt), (Some(1_885_932_000), EndKnown::Services));
    assert_eq!(known.covers, [Dataset::ConsumptionLoadCurve, Dataset::DailyProduction]);
    let silent = Granted { until: None, ..granted() };
    let known = of_services("enedis", 424_242, &silent, reckoned, now);
    assert_eq!((known.until, known.learnt), (Some(1_890_169_200), EndKnown::Duration));
}

#[test]
fn a_fresh_consent_is_given_time() {
    let hours = |hours: i64| hours * 3_600;
    for (code, age, waits) in [
        ("ADAM-DC-0007", hours(0), true),
        ("ADAM-DC-0007", hours(72) - 1, true),
        ("ADAM-DC-0007", hours(72), false),
        ("ADAM-DC-0008", hours(24) - 1, true),
        ("ADAM-DC-0008", hours(24), false),
        ("ADAM-ERR0061", hours(1), false),
        // Somebody has set the clock.
        ("ADAM-DC-0007", -1, false),
    ] {
        assert_eq!(settles(code, age), waits, "{code} {age}");
    }
}
