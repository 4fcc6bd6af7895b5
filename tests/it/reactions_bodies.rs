//! Answers that are damaged, somebody else's or none at all: nothing of them is stored, few calls
//! are spent on them, and everything heals.

use std::sync::Arc;

use async_trait::async_trait;
use linkyd::client::{Transport, TransportError};
use linkyd::domain::{Api, Dataset, SeriesState, paris};
use linkyd::exit::Exit;
use linkyd::simulator::{Action, Envelope, Faults, Match, MeterSpec, World};
use linkyd::source::{Request, Response};

use crate::support::{InMemory, Rig, at, day, on_each_engine, prm};

on_each_engine! {
    nothing_of_a_bad_body_is_stored_and_it_costs_three_calls_a_day,
    an_answer_that_breaks_off_is_like_none,
    a_null_wrapper_stores_nothing_and_the_days_come_later,
    a_span_that_keeps_failing_is_set_aside_and_the_rest_arrives,
    a_passing_fault_is_retried_within_the_pass,
    without_a_network_a_pass_ends_soon_and_the_next_recovers,
    a_network_that_fails_in_mid_run_ends_the_pass_and_not_every_series,
    a_storm_of_faults_leaves_the_source_alone_after_a_dozen,
}

const METER: &str = "01234567890123";
const OTHER: &str = "09876543210987";
const SINCE: &str = "2026-10-01";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

async fn rig() -> Rig {
    let world = World::new(23).with(MeterSpec::new(prm(METER))).with(MeterSpec::new(prm(OTHER)));
    Rig::new(world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await.since(day(SINCE))
}

fn of_meter() -> Match {
    Match { prm: Some(prm(METER)), ..Match::any() }
}

/// An answer that never came, at the place of the simulator's.
#[derive(Debug)]
struct Broken {
    simulator: InMemory,
    error: TransportError,
    prm: String,
}

#[async_trait]
impl Transport for Broken {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let answer = self.simulator.send(request).await;
        if request.url.as_str().contains(&self.prm) { Err(self.error) } else { answer }
    }
}

/// Whatever is wrong with the answers for one meter: few calls, nothing stored, the other meter
/// whole; and the next day after the trouble everything is there.
async fn assert_harmless(mut rig: Rig, name: &str, end: impl FnOnce(&mut Rig)) {
    rig.pass().await;
    let count = |rig: &Rig, dataset| {
        rig.simulator.log().iter().filter(|c| c.prm == Some(prm(METER)) && c.dataset == dataset).count()
    };
    for dataset in DATASETS {
        assert!(rig.database.readings(&prm(METER), dataset).await.unwrap().is_empty(), "{name} {dataset}");
        assert_eq!(rig.status(&prm(METER), dataset).await.state, SeriesState::Failing, "{name} {dataset}");
    }
    rig.assert_true_since(&prm(OTHER), day(SINCE)).await;
    // Every pass has an engine of its own: what failed is remembered by the database.
    for _ in 0..6 {
        rig.advance(90);
        rig.sync().await;
    }
    for dataset in DATASETS {
        assert!(count(&rig, dataset) <= 3, "{name} {dataset}: {} calls in a day", count(&rig, dataset));
    }
    for morning in 1..=2 {
        rig.next_morning(8, 10);
        rig.pass().await;
        for dataset in DATASETS {
            let calls = count(&rig, dataset);
            assert!(calls <= 3 * (morning + 1) && calls > 3 * morning - 2, "{name} {dataset}: {calls}");
        }
    }
    end(&mut rig);
    rig.next_morning(8, 10);
    assert_eq!(rig.pass().await.exit(), Exit::Done, "{name}");
    rig.assert_true_since(&prm(METER), day(SINCE)).await;
    rig.assert_true_since(&prm(OTHER), day(SINCE)).await;
}

async fn nothing_of_a_bad_body_is_stored_and_it_costs_three_calls_a_day() {
    let html = Action::Status { status: 200, envelope: Envelope::E8, code: String::new(), text: String::new() };
    let empty = Action::Status { status: 200, envelope: Envelope::E9, code: String::new(), text: String::new() };
    let down = Action::Status { status: 503, envelope: Envelope::E8, code: String::new(), text: String::new() };
    for action in [
        Action::Truncated,
        Action::InvalidUtf8,
        Action::WrongPrm,
        Action::WrongDirection,
        Action::WrongDays,
        Action::Redirect { to: "https://elsewhere.example/".to_owned() },
        html,
        empty,
        down,
    ] {
        for api in [Api::V5, Api::V2026] {
            // v5 does not say in its answers which direction they are of.
            if matches!(action, Action::WrongDirection) && api == Api::V5 {
                continue;
            }
            let mut rig = rig().await;
            rig.apis = vec![api];
            rig.simulator.set_faults(Faults::none().with(of_meter(), action.clone()));
            let name = format!("{api} {action:?}");
            assert_harmless(rig, &name, |rig| rig.simulator.set_faults(Faults::none())).await;
        }
    }
}

async fn an_answer_that_breaks_off_is_like_none() {
    for error in [TransportError::Timeout, TransportError::Cut, TransportError::TooLarge] {
        let mut rig = rig().await;
        let simulator = InMemory(rig.simulator.clone());
        rig.transport = Some(Arc::new(Broken { simulator, error, prm: METER.to_owned() }));
        assert_harmless(rig, &format!("{error}"), |rig| rig.transport = None).await;
    }
}

async fn a_null_wrapper_stores_nothing_and_the_days_come_later() {
    let null = Action::Status { status: 200, envelope: Envelope::E11, code: String::new(), text: String::new() };
    let mut rig = rig().await;
    rig.apis = vec![Api::V5];
    rig.simulator.set_faults(Faults::none().with(of_meter(), null));
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    for dataset in DATASETS {
        assert!(rig.database.readings(&prm(METER), dataset).await.unwrap().is_empty());
    }
    rig.simulator.set_faults(Faults::none());
    for _ in 0..9 {
        rig.next_morning(8, 10);
        rig.pass().await;
    }
    rig.assert_true_since(&prm(METER), day(SINCE)).await;
}

async fn a_span_that_keeps_failing_is_set_aside_and_the_rest_arrives() {
    let rig = rig().await;
    let bad = Match { contains_day: Some(day("2026-10-14")), ..of_meter() };
    let technical = Action::Status {
        status: 500,
        envelope: Envelope::E1,
        code: "technical_error".to_owned(),
        text: "Technical error. Please try later.".to_owned(),
    };
    let when = Match { dataset: Some(Dataset::ConsumptionLoadCurve), ..bad };
    rig.simulator.set_faults(Faults::none().with(when.clone(), technical));
    for _ in 0..3 {
        rig.simulator.reset_counters();
        for _ in 0..8 {
            assert_eq!(rig.sync().await.exit(), Exit::Failed, "it is not well while days are set aside");
            rig.advance(60);
        }
        let refused = rig.refused("technical_error");
        assert!(refused <= 3, "{refused} in a day");
        let line = rig.status(&prm(METER), Dataset::ConsumptionLoadCurve).await;
        assert_eq!((line.state, line.code.as_deref()), (SeriesState::Failing, Some("TECHNICAL-ERROR")));
        rig.next_morning(8, 10);
    }
    let stored = rig.database.readings(&prm(METER), Dataset::ConsumptionLoadCurve).await.unwrap().len();
    assert!(stored >= 48 * 48, "the other spans arrived: {stored}");
    rig.simulator.set_faults(Faults::none());
    rig.next_morning(8, 10);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    rig.assert_true_since(&prm(METER), day(SINCE)).await;
}

async fn a_passing_fault_is_retried_within_the_pass() {
    for calls in [vec![1], vec![3], vec![5, 6]] {
        let rig = rig().await;
        let fault = Action::Status { status: 500, envelope: Envelope::E9, code: String::new(), text: String::new() };
        rig.simulator.set_faults(Faults::none().with(Match::any().calls(&calls), fault));
        assert_eq!(rig.pass().await.exit(), Exit::Done, "{calls:?}");
        assert_eq!(rig.unsuccessful(), calls.len());
        rig.assert_true_since(&prm(METER), day(SINCE)).await;
    }
}

#[derive(Debug)]
struct Unplugged(std::sync::atomic::AtomicUsize);

#[async_trait]
impl Transport for Unplugged {
    async fn send(&self, _: &Request) -> Result<Response, TransportError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Err(TransportError::Unreachable)
    }
}

async fn without_a_network_a_pass_ends_soon_and_the_next_recovers() {
    let mut rig = rig().await;
    let unplugged = Arc::new(Unplugged(std::sync::atomic::AtomicUsize::new(0)));
    rig.transport = Some(Arc::clone(&unplugged) as Arc<dyn Transport>);
    let began = rig.clock_minutes();
    assert_eq!(rig.pass().await.exit(), Exit::TryLater);
    assert!(unplugged.0.load(std::sync::atomic::Ordering::SeqCst) <= 2);
    assert!(rig.clock_minutes() - began <= 1);
    for dataset in DATASETS {
        assert_eq!(rig.status(&prm(METER), dataset).await.state, SeriesState::Waiting, "{dataset}");
    }
    for _ in 0..20 {
        rig.advance(3);
        assert_eq!(rig.pass().await.exit(), Exit::TryLater);
    }
    let tries = unplugged.0.load(std::sync::atomic::Ordering::SeqCst);
    assert!(tries <= 20, "{tries} in an hour");
    rig.transport = None;
    rig.advance(60);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    rig.assert_true_since(&prm(METER), day(SINCE)).await;
}

async fn a_network_that_fails_in_mid_run_ends_the_pass_and_not_every_series() {
    #[derive(Debug)]
    struct Failing(InMemory, std::sync::atomic::AtomicUsize);
    #[async_trait]
    impl Transport for Failing {
        async fn send(&self, request: &Request) -> Result<Response, TransportError> {
            if self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 6 {
                return Err(TransportError::Unreachable);
            }
            self.0.send(request).await
        }
    }
    let mut rig = rig().await;
    let way = Arc::new(Failing(InMemory(rig.simulator.clone()), std::sync::atomic::AtomicUsize::new(0)));
    rig.transport = Some(Arc::clone(&way) as Arc<dyn Transport>);
    assert_eq!(rig.pass().await.exit(), Exit::TryLater);
    let tries = way.1.load(std::sync::atomic::Ordering::SeqCst);
    assert!(tries <= 9, "{tries}");
    rig.transport = None;
    rig.advance(5);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    rig.assert_true_since(&prm(METER), day(SINCE)).await;
}

async fn a_storm_of_faults_leaves_the_source_alone_after_a_dozen() {
    let mut world = World::new(23);
    for n in 0..20 {
        world = world.with(MeterSpec::new(prm(&format!("012345678901{n:02}"))));
    }
    let rig = Rig::new(world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await.since(day(SINCE));
    let fault = Action::Status { status: 503, envelope: Envelope::E8, code: String::new(), text: String::new() };
    rig.simulator.set_faults(Faults::none().with(Match::any(), fault));
    assert_eq!(rig.pass().await.exit(), Exit::TryLater);
    assert!(rig.calls() <= 25, "{}", rig.calls());
    rig.simulator.set_faults(Faults::none());
    rig.next_morning(8, 10);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
}

/// A plain HTTP server that keeps what it receives.
async fn eavesdropper() -> (std::net::SocketAddr, Arc<std::sync::Mutex<String>>) {
    use tokio::io::AsyncReadExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(std::sync::Mutex::new(String::new()));
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 4096];
            let read = stream.read(&mut bytes).await.unwrap_or_default();
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    });
    (address, heard)
}

#[tokio::test]
async fn over_real_sockets_no_redirect_is_followed_and_no_body_is_without_bound() {
    let (elsewhere, heard) = eavesdropper().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let mut rig = rig().await;
    let simulator = rig.simulator.clone();
    let server = tokio::spawn(async move { simulator.serve(listener, std::future::pending()).await });
    let url: url::Url = base.parse().unwrap();
    rig.transport = Some(Arc::new(linkyd::client::HttpTransport::new(&url).unwrap()));
    rig.base = base;
    rig.meters.truncate(1);
    for (action, code) in [
        (Action::Redirect { to: format!("http://{elsewhere}/steal") }, "redirect"),
        (Action::Endless { mib: 64 }, "too_large"),
        (Action::GzipBomb { mib: 64 }, "too_large"),
        (Action::CutBody, "cut"),
        (Action::Cut, "cut"),
        (Action::HugeHeader { kib: 1024 }, "cut"),
    ] {
        rig.simulator.set_faults(Faults::none().with(Match::any(), action.clone()));
        rig.next_morning(8, 10);
        // Nothing but failures for days would leave the source to rest.
        linkyd::store::Store::resume(&*rig.store, "enedis").await.unwrap();
        rig.pass().await;
        let line = rig.status(&prm(METER), Dataset::DailyConsumption).await;
        assert_eq!((line.state, line.code.as_deref()), (SeriesState::Failing, Some(code)), "{action:?}");
        for dataset in DATASETS {
            assert!(rig.database.readings(&prm(METER), dataset).await.unwrap().is_empty(), "{action:?}");
        }
    }
    assert_eq!(*heard.lock().unwrap(), "", "nobody else hears anything");
    rig.simulator.set_faults(Faults::none());
    rig.next_morning(8, 10);
    rig.pass().await;
    let days = linkyd::domain::Days::new(day(SINCE), paris::today(rig.simulator.now())).unwrap();
    rig.assert_equals_truth(&prm(METER), Dataset::DailyConsumption, days).await;
    server.abort();
}
