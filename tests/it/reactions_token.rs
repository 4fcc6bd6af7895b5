//! Tokens that expire, are revoked or refused, and a token service that is out of order.

use linkyd::domain::{Dataset, SeriesState};
use linkyd::exit::Exit;
use linkyd::simulator::{Action, Envelope, Faults, Match, MeterSpec, World};

use crate::support::{Rig, at, day, on_each_engine, prm};

on_each_engine! {
    a_revoked_token_costs_one_renewal_and_each_refused_call_is_made_once_more,
    tokens_that_live_for_seconds_are_renewed_ahead,
    a_fresh_token_that_is_refused_stops_the_source,
    a_wrong_secret_is_tried_once_in_six_hours,
    a_mended_secret_works_at_the_operators_next_word,
    a_token_service_out_of_order_is_asked_once_a_minute_and_ever_more_rarely,
    a_short_fault_of_the_token_service_is_waited_out_in_the_pass,
}

const METER: &str = "01234567890123";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

async fn rig(datasets: &[Dataset]) -> Rig {
    let world = World::new(11).with(MeterSpec::new(prm(METER)));
    Rig::new(world, datasets, at("2026-11-24T08:30:00+01:00")).await
}

fn status(status: u16, code: &str) -> Action {
    Action::Status { status, envelope: Envelope::E3, code: code.to_owned(), text: String::new() }
}

async fn a_revoked_token_costs_one_renewal_and_each_refused_call_is_made_once_more() {
    let rig = rig(&DATASETS).await;
    // Answers take so long that several calls are in the air when the token dies.
    rig.simulator.set_faults(Faults { latency_ms: 900, ..Faults::none() });
    let simulator = rig.simulator.clone();
    let engine = rig.engine();
    let stop = tokio_util::sync::CancellationToken::new();
    let revoked = std::sync::atomic::AtomicBool::new(false);
    let observer = |progress: linkyd::engine::Progress| {
        if progress.done == 40 && !revoked.swap(true, std::sync::atomic::Ordering::SeqCst) {
            simulator.revoke_tokens();
        }
    };
    let report = engine.pass(&linkyd::engine::Selection::default(), &stop, &observer).await.unwrap();
    assert_eq!(report.exit(), Exit::Done);
    assert_eq!(rig.tokens(), 2, "one renewal for all");
    let log = rig.simulator.log();
    let refused: Vec<_> = log.iter().filter(|c| c.status == 401).collect();
    assert!(!refused.is_empty());
    for call in &refused {
        let same = log.iter().filter(|c| (c.dataset, c.start, c.end) == (call.dataset, call.start, call.end)).count();
        assert_eq!(same, 2, "made once more");
    }
    let fewest: usize = DATASETS.into_iter().map(|d| rig.fewest(d)).sum();
    assert_eq!(log.len(), fewest + refused.len());
    rig.assert_whole(&prm(METER)).await;
}

async fn tokens_that_live_for_seconds_are_renewed_ahead() {
    let rig = rig(&[Dataset::ConsumptionLoadCurve]).await;
    rig.simulator.change(|world| world.rules.token.ttl_seconds = 5);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    assert_eq!(rig.unsuccessful(), 0);
    assert!(rig.tokens() <= 14, "{}", rig.tokens());
    rig.assert_whole(&prm(METER)).await;
}

async fn a_fresh_token_that_is_refused_stops_the_source() {
    let rig = rig(&DATASETS).await.since(day("2026-10-20"));
    rig.simulator.set_faults(Faults::none().with(Match::any(), status(401, "900901")));
    let report = rig.pass().await;
    assert_eq!(report.exit(), Exit::CredentialsRefused);
    // One series alone would prove little, so a second one is asked.
    assert!(rig.tokens() <= 3 && rig.calls() <= 6, "{} tokens, {} calls", rig.tokens(), rig.calls());
    for dataset in DATASETS {
        let line = rig.status(&prm(METER), dataset).await;
        assert_eq!(line.state, SeriesState::Failing);
        assert!(line.message.unwrap().contains("handed out"));
    }
    let before = (rig.calls(), rig.tokens());
    rig.advance(60);
    assert_eq!(rig.pass().await.exit(), Exit::CredentialsRefused);
    assert_eq!((rig.calls(), rig.tokens()), before);
    for _ in 0..10 {
        rig.sync().await;
    }
    assert!(rig.tokens() <= 12, "an operator's tries are few: {}", rig.tokens());
    rig.simulator.set_faults(Faults::none());
    rig.advance(6 * 60);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    rig.assert_true_since(&prm(METER), day("2026-10-20")).await;
}

async fn a_wrong_secret_is_tried_once_in_six_hours() {
    let rig = rig(&DATASETS).await.since(day("2026-10-20"));
    rig.simulator.change(|world| world.rules.token.client_secret = Some("another".to_owned()));
    assert_eq!(rig.pass().await.exit(), Exit::CredentialsRefused);
    assert_eq!((rig.tokens(), rig.calls()), (1, 0));
    for dataset in DATASETS {
        let line = rig.status(&prm(METER), dataset).await;
        assert_eq!((line.state, line.code.as_deref()), (SeriesState::Failing, Some("INVALID-CLIENT")));
        assert!(line.message.unwrap().contains("secret"));
    }
    for _ in 0..5 {
        rig.advance(65);
        assert_eq!(rig.pass().await.exit(), Exit::CredentialsRefused);
    }
    assert_eq!(rig.tokens(), 1);
    for _ in 0..20 {
        assert_eq!(rig.sync().await.exit(), Exit::CredentialsRefused);
    }
    assert!(rig.tokens() <= 6, "{}", rig.tokens());
    // The operator mends it; the journal's refusals have aged.
    rig.simulator.change(|world| world.rules.token.client_secret = None);
    rig.advance(6 * 60);
    assert_eq!(rig.sync().await.exit(), Exit::Done);
    rig.assert_true_since(&prm(METER), day("2026-10-20")).await;
}

async fn a_mended_secret_works_at_the_operators_next_word() {
    let rig = rig(&DATASETS).await.since(day("2026-10-20"));
    rig.simulator.change(|world| world.rules.token.client_secret = Some("another".to_owned()));
    rig.pass().await;
    rig.simulator.change(|world| world.rules.token.client_secret = None);
    rig.advance(5);
    assert_eq!(rig.pass().await.exit(), Exit::CredentialsRefused, "the timer waits");
    assert_eq!(rig.sync().await.exit(), Exit::Done);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
}

async fn a_token_service_out_of_order_is_asked_once_a_minute_and_ever_more_rarely() {
    for action in [
        Action::Status { status: 503, envelope: Envelope::E9, code: String::new(), text: String::new() },
        Action::Status { status: 500, envelope: Envelope::E7, code: String::new(), text: String::new() },
        Action::Status { status: 200, envelope: Envelope::E8, code: String::new(), text: String::new() },
        Action::Truncated,
    ] {
        let rig = rig(&DATASETS).await.since(day("2026-10-20"));
        rig.simulator.set_faults(Faults::none().with(Match::token(), action.clone()));
        let began = rig.clock_minutes();
        for _ in 0..60 {
            let report = rig.pass().await;
            assert_eq!(report.exit(), Exit::TryLater, "{action:?}");
            rig.advance(1);
        }
        let minutes = rig.clock_minutes() - began;
        assert!(rig.tokens() <= minutes.min(9), "{action:?}: {} in {minutes} minutes", rig.tokens());
        assert_eq!(rig.calls(), 0);
        assert_eq!(rig.status(&prm(METER), Dataset::DailyConsumption).await.state, SeriesState::Waiting);
        rig.simulator.set_faults(Faults::none());
        rig.advance(60);
        assert_eq!(rig.pass().await.exit(), Exit::Done, "{action:?}");
        rig.assert_true_since(&prm(METER), day("2026-10-20")).await;
    }
}

async fn a_short_fault_of_the_token_service_is_waited_out_in_the_pass() {
    let rig = rig(&DATASETS).await.since(day("2026-10-20"));
    let fault = Action::Status { status: 503, envelope: Envelope::E9, code: String::new(), text: String::new() };
    rig.simulator.set_faults(Faults::none().with(Match::token().calls(&[1]), fault));
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    assert_eq!(rig.tokens(), 2);
    rig.assert_true_since(&prm(METER), day("2026-10-20")).await;
}
