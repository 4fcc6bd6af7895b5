//! The same history, driven into both stores, must show the same in every view.
//!
//! A history is a list of events drawn from a seed: configurations that change, windows that move,
//! answers whole, partial, empty and revised, refusals, calls that never end, sources that rest and
//! take turns. Whatever a store returns on the way is compared too.

use std::fmt::Debug;

use fastrand::Rng;

use super::postgres::Postgres;
use super::*;
use crate::domain::{Coverage, Direction, SameDay, SeriesState};
use crate::source::Pool;
use crate::store::{Activation, Effect, JournalTally, Learnt, SeriesFacts, SourceState, Switch};

/// The days that a history is about; the clock changes within.
const DAYS: i32 = 60;

const METERS: i64 = 2;
const LIMITED: Limits = Limits { per_second: 5, per_hour: Some(30), per_day: Some(200) };

/// Something that happens to a store.
#[derive(Debug, Clone)]
enum Event {
    SetUp(Setup),
    Windows(Vec<Window>),
    Serve(Switch),
    /// A call that is answered.
    Answered(NewCall, Box<Answer>),
    /// A call that is refused.
    Refused(NewCall, CallEnd, Vec<Effect>),
    /// A call of which no end is ever heard.
    Lost(NewCall),
    /// What no call brought, several things of the same series among them.
    Learnt(Vec<Effect>),
    Resume(&'static str),
}

fn one_of<T: Clone>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(..all.len())].clone()
}

fn configuration(rng: &mut Rng) -> Setup {
    let source = |name: &str, kind, direct, credentials: String| SourceSetup {
        name: name.into(),
        kind,
        account: format!("{kind}:1"),
        direct,
        credentials,
    };
    let sources =
        vec![source("enedis", "enedis", true, "c".into()), source("home", "conso-api", false, rng.u8(..3).to_string())];
    let mut meters = Vec::new();
    for n in 1..=METERS {
        let left = n > 1 && rng.u8(..4) == 0;
        let meter = MeterSetup {
            customer: Vec::new(),
            prm: format!("0000000000000{n}").parse().unwrap(),
            name: if rng.u8(..4) == 0 { format!("Meter {n}") } else { format!("Maison {n}") },
            source: one_of(rng, &["enedis", "home"]).into(),
            sources: vec!["enedis".into(), "home".into()],
            consent_until: (rng.u8(..3) == 0).then_some(1_800_000_000),
            datasets: Dataset::ALL.into_iter().filter(|_| rng.u8(..6) > 0).collect(),
        };
        if !left {
            meters.push(meter);
        }
    }
    if rng.bool() {
        meters.reverse();
    }
    Setup { sources, meters }
}

fn days_within(rng: &mut Rng, first: Day, longest: i32) -> Days {
    let first = first.plus(rng.i32(0..DAYS - longest));
    Days::new(first, first.plus(1 + rng.i32(0..longest))).unwrap()
}

fn series(rng: &mut Rng) -> (MeterId, Dataset) {
    (MeterId(1 + rng.i64(0..METERS)), one_of(rng, &Dataset::ALL))
}

/// Values of the days, some of which lack. There are few levels, so that they repeat and change.
fn values(rng: &mut Rng, dataset: Dataset, covered: Days) -> Values {
    let level = rng.i64(0..3);
    let few = one_of(rng, &[0, 1, 40, 40, 40]);
    let closing = rng.i32(0..2);
    let mut kept = || rng.u8(..40) < few;
    match dataset {
        Dataset::ConsumptionLoadCurve | Dataset::ProductionLoadCurve => {
            let minutes = [30, 30, 30, 10, 60][usize::try_from(covered.first().number().rem_euclid(5)).unwrap()];
            // Whole half days lack, which leaves days that are partial.
            let mut lacking = std::collections::BTreeMap::new();
            let mut points = curve(covered, minutes, |start| start / 600 % 900 + level);
            points.retain(|point| *lacking.entry(point.interval.start / 43_200).or_insert_with(&mut kept));
            Values::Curve(points)
        }
        Dataset::DailyMaxPower => {
            let Values::Peaks(mut all) = peaks(covered, 4000 + level) else { panic!("peaks") };
            all.retain(|_| kept());
            for peak in all.iter_mut().filter(|peak| peak.day.number() % 3 == 0) {
                peak.at = None;
            }
            Values::Peaks(all)
        }
        Dataset::DailyConsumption | Dataset::DailyProduction => {
            let Values::Energy(mut all) = energy(covered, |day| i64::from(day.number() % 50) + level) else {
                panic!("energy")
            };
            all.retain(|_| kept());
            Values::Energy(all)
        }
        Dataset::ConsumptionIndex | Dataset::ProductionIndex => {
            // A class that changes its name, registers that go back, midnights stamped in winter time, and readings
            // in between.
            let class = if covered.first().number() % 4 == 0 { "HPB" } else { "HP" };
            let midnights = Days::new(covered.first(), covered.end().plus(closing)).unwrap();
            let mut all = registers(midnights, class, |day| i64::from(day.number() % 900) * 40 + level);
            all.retain(|_| kept());
            for reading in &mut all {
                reading.direction = dataset.direction();
                let number = paris::day_of(reading.read_at).number();
                reading.read_at -= if number % 11 == 0 { 3600 } else { 0 };
                reading.daily = number % 7 != 0;
            }
            Values::Registers(all)
        }
    }
}

fn effect(rng: &mut Rng, first: Day, now: i64) -> Effect {
    let (meter, dataset) = series(rng);
    let source = SourceId(1 + rng.i64(0..2));
    let some_day = |rng: &mut Rng| (rng.bool()).then(|| first.plus(rng.i32(0..DAYS)));
    match rng.u8(..6) {
        0 | 1 => Effect::Series {
            meter,
            dataset,
            state: one_of(
                rng,
                &[SeriesState::Suspended, SeriesState::NotOffered, SeriesState::Failing, SeriesState::Waiting],
            ),
            code: Some(one_of(rng, &["ADAM-ERR0069", "http-503", "banned"]).into()),
            message: rng.bool().then(|| "réponse – refusée".into()),
            not_before: rng.bool().then_some(now + 86_400),
        },
        2 => {
            let accepted = some_day(rng);
            let refused = if rng.bool() { accepted.map(|day| day.plus(-1)) } else { some_day(rng) };
            let direction = one_of(rng, &Direction::ALL);
            Effect::Activation { meter, direction, known: Activation { refused, accepted, refusals: rng.i32(0..9) } }
        }
        3 => {
            let direction = one_of(rng, &Direction::ALL);
            Effect::Accepted { meter, direction, first: first.plus(rng.i32(0..DAYS)) }
        }
        4 => {
            let known = Learnt {
                max_days: rng.bool().then(|| (rng.i32(1..8), now + 1000)),
                history_short: rng.i32(0..4),
                api: rng.bool().then_some((Api::V5, now)),
                not_before: rng.bool().then_some(now + 60),
            };
            Effect::Learnt { source, dataset, known }
        }
        _ if rng.bool() => {
            let pool = one_of(rng, &[Pool::Live, Pool::Cached]);
            Effect::Told { source, pool, left: rng.u32(..40), at_ms: now * 1000, until_ms: now * 1000 + 3_600_000 }
        }
        _ => {
            let state = SourceState {
                not_before_ms: rng.bool().then_some(now * 1000 + 2_000),
                code: Some("banned".into()),
                message: None,
                slow_until_ms: rng.bool().then_some(now * 1000 + 9_000),
                refusals: rng.u32(..5),
                strikes: rng.u32(..5),
            };
            Effect::Source { source, state }
        }
    }
}

fn event(rng: &mut Rng, first: Day, now: i64) -> Event {
    let (meter, dataset) = series(rng);
    let source = SourceId(1 + rng.i64(0..2));
    let longest = if dataset.name().ends_with("load_curve") { 6 } else { 20 };
    let covered = days_within(rng, first, longest);
    let call = NewCall {
        source,
        api: Some(one_of(rng, &[Api::V5, Api::V2026])),
        pool: one_of(rng, &[Pool::Live, Pool::Live, Pool::Cached]),
        asks: (rng.u8(..12) > 0).then_some((meter, dataset, covered).into()),
        keep: None,
        seen: None,
        lease: None,
        lead_ms: 0,
        despite_rest: rng.u8(..3) == 0,
        asked_at: now,
    };
    let end = |rng: &mut Rng, status, code: Option<&str>| CallEnd {
        call: CallId(0),
        lease: None,
        status,
        code: code.map(Into::into),
        duration_ms: rng.i64(0..12_000),
    };
    match rng.u8(..20) {
        0 | 1 => Event::SetUp(configuration(rng)),
        2 | 3 => {
            let end = first.plus(DAYS - rng.i32(0..15));
            let windows = (1..=METERS).flat_map(|n| Dataset::ALL.map(|dataset| (MeterId(n), dataset)));
            let windows = windows.filter_map(|(meter, dataset)| {
                let served = first.plus(rng.i32(0..20));
                let wanted = served.plus(rng.i32(0..3) * rng.i32(0..8));
                (rng.u8(..5) > 0).then(|| Window {
                    meter,
                    dataset,
                    served,
                    days: Days::new(wanted, end).filter(|_| rng.u8(..9) > 0),
                })
            });
            Event::Windows(windows.collect())
        }
        4 => Event::Serve(Switch { meter, dataset, to: source }),
        5 => Event::Lost(call),
        6 => Event::Learnt((0..rng.usize(1..16)).map(|_| effect(rng, first, now)).collect()),
        7 => Event::Resume(one_of(rng, &["enedis", "home", "none"])),
        8..=10 => {
            let code =
                one_of(rng, &[Some("http-503"), Some("ADAM-ERR0123"), Some("not_made"), Some("invalid_client"), None]);
            let status = one_of(rng, &[None, Some(503), Some(400), Some(401)]);
            let effects = (0..rng.usize(..3)).map(|_| effect(rng, first, now)).collect();
            Event::Refused(call, end(rng, status, code), effects)
        }
        _ => {
            let answer = Answer {
                end: end(rng, Some(200), None),
                direct: source == SOURCE,
                meter,
                dataset,
                source,
                covered,
                exact: rng.bool(),
                same_day: one_of(rng, &[SameDay::Often, SameDay::Once]),
                values: values(rng, dataset, covered),
                asked_at: now,
                window_first: first.plus(rng.i32(0..10)),
                effects: (0..rng.usize(..2)).map(|_| effect(rng, first, now)).collect(),
                raw: None,
            };
            Event::Answered(NewCall { asks: Some((meter, dataset, covered).into()), ..call }, Box::new(answer))
        }
    }
}

/// What a store says to an event, without what only several instances have, and the numbers of calls.
async fn happen<H: Host>(world: &World<H>, event: &Event) -> String {
    fn said<T: Debug>(result: Result<T, StoreError>) -> String {
        result.map_or_else(|error| format!("{error}"), |value| format!("{value:?}"))
    }
    let reserve = async |call: &NewCall| match world.store.reserve(call, &LIMITED, world.now() * 1000).await {
        Ok(Reserved::Go { call, at_ms, .. }) => Ok((call, at_ms)),
        other => Err(said(other)),
    };
    match event {
        Event::SetUp(setup) => said(world.store.set_up(setup).await),
        // Which series know more now only a store can tell that does not know all days anyway.
        Event::Windows(windows) => said(world.store.open_windows(windows, world.now()).await.map(drop)),
        Event::Serve(switch) => said(world.store.serve(&[*switch]).await),
        Event::Learnt(effects) => {
            let all = (1..=METERS).flat_map(|n| Dataset::ALL.map(|dataset| (MeterId(n), dataset)));
            let seen = world.store.counters(&all.collect::<Vec<_>>()).await.unwrap();
            said(world.store.apply_known(effects.clone(), seen).await)
        }
        Event::Resume(source) => said(world.store.resume(source).await),
        Event::Lost(call) => said(Ok(reserve(call).await.map(|(_, at_ms)| at_ms))),
        Event::Answered(call, answer) => match reserve(call).await {
            Err(no) => no,
            Ok((call, at_ms)) => {
                let mut answer = (**answer).clone();
                answer.end.call = call;
                let committed = world.store.commit(answer).await.map(|committed| Committed { seen: 0, ..committed });
                format!("{at_ms} {}", said(committed))
            }
        },
        Event::Refused(call, end, effects) => match reserve(call).await {
            Err(no) => no,
            Ok((call, at_ms)) => {
                let settled = world.store.settle(CallEnd { call, ..end.clone() }, effects.clone()).await;
                format!("{at_ms} {}", said(settled.map(drop)))
            }
        },
    }
}

/// Everything that a store knows, apart from the views.
async fn known<H: Host>(world: &World<H>) -> Vec<String> {
    let (store, now) = (&world.store, world.now());
    let facts = store.facts(now - 86_400).await.unwrap();
    let mut all = Vec::new();
    let always = days("2026-01-01", "2027-01-01");
    for series in facts.series {
        // A complete day may be unknown once it has left the window; the views show those within.
        all.extend(series.days.open(always).map(|(day, record)| format!("{day} {record:?}")));
        all.push(format!("{:?}", SeriesFacts { seen: 0, days: Coverage::new(), ..series }));
    }
    all.extend(facts.sources.iter().map(|source| format!("{source:?}")));
    all.extend(facts.failed.iter().map(|failed| format!("{failed:?}")));
    all.push(format!("{:?}", facts.activations));
    all.extend(store.status().await.unwrap().iter().map(|line| format!("{line:?}")));
    all.push(format!("{:?}", store.sources().await.unwrap()));
    for source in ["enedis", "home"] {
        for pool in [Pool::Live, Pool::Cached] {
            all.push(format!("{:?}", store.spent(source, pool, now * 1000 + 1_800_000).await.unwrap()));
        }
    }
    for source in [1, 2] {
        let refused = store.refused_tokens(SourceId(source), (now - 7200) * 1000, &["http-503"]).await.unwrap();
        all.push(refused.to_string());
    }
    let counted = JournalTally::default().of(store).await.unwrap();
    let mut tally: Vec<String> = counted.iter().map(|tally| format!("{tally:?}")).collect();
    tally.sort_unstable();
    all.extend(tally);
    all
}

async fn compare(a: &World<Sqlite>, b: &World<Postgres>, seed: u64, step: usize) {
    let differs = |what: &str, a: Vec<String>, b: Vec<String>| {
        let other = a.iter().zip(&b).find(|(a, b)| a != b);
        assert!(a == b, "seed {seed}, event {step}: {what} of {} and {} lines differ: {other:#?}", a.len(), b.len());
    };
    let views = a.host.views().await;
    assert_eq!(views, b.host.views().await);
    for view in views {
        let every = format!("SELECT * FROM {view}");
        let (mut file, mut server) = (a.rows(&every).await, b.rows(&every).await);
        file.sort_unstable();
        server.sort_unstable();
        differs(&view, file, server);
    }
    differs("knowledge", known(a).await, known(b).await);
}

/// Everything that happens, from a seed. How many values were revised.
async fn history(seed: u64) -> i64 {
    let mut rng = Rng::with_seed(seed);
    let first = day(one_of(&mut rng, &["2026-03-01", "2026-10-01"]));
    let a = World::<Sqlite>::new_empty().await;
    let b = World::<Postgres>::new_empty().await;
    let mut next = Event::SetUp(Setup {
        meters: (1..=METERS)
            .map(|n| MeterSetup {
                customer: Vec::new(),
                prm: format!("0000000000000{n}").parse().unwrap(),
                name: format!("Maison {n}"),
                source: "enedis".into(),
                sources: vec!["enedis".into()],
                consent_until: None,
                datasets: Dataset::ALL.to_vec(),
            })
            .collect(),
        ..configuration(&mut rng)
    });
    for step in 0..90 {
        let (in_file, on_server) = (happen(&a, &next).await, happen(&b, &next).await);
        assert_eq!(in_file, on_server, "seed {seed}, event {step}: {next:#?}");
        let seconds = one_of(&mut rng, &[0, 1, 30, 600, 40_000]);
        a.wait(seconds);
        b.wait(seconds);
        if step % 30 == 29 {
            compare(&a, &b, seed, step).await;
        }
        next = event(&mut rng, first, a.now());
    }
    a.sound().await;
    b.sound().await;
    a.one("SELECT count(*) FROM v_revision").await.parse().unwrap()
}

#[tokio::test]
async fn random_histories_show_the_same_in_every_view() {
    let mut revised = 0;
    for seed in 0..8 {
        revised += history(seed).await;
    }
    assert!(revised > 50, "{revised} values were revised");
}
