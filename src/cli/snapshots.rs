//! What people read in the main situations.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::sources::{Counter, PauseView, SourceView};
use super::status::{self, Page};
use super::wiring::{self, Counted};
use super::{plan, sync};
use crate::config::{self, Config, Environment, Secrets};
use crate::daemon::backlog::Backlog;
use crate::domain::{CustomerDataset, Dataset, Day, DayState, Days, Prm, SeriesState};
use crate::engine::prospect::PlannedCall;
use crate::engine::report::{DatasetReport, Interruption, MeterReport, Report, Stop};
use crate::plan::Reason;
use crate::store::{CustomerStatus, MeterId, SeriesStatus, SourceState, Spent};

const CONFIG: &str = r#"
[source.enedis]
client_id = "app"
[[meter]]
prm = "01234567890123"
name = "Maison"
"#;

fn configured(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    config::load(Some(&path), &Environment::default(), Secrets::Skip).unwrap().config
}

fn now() -> DateTime<Utc> {
    "2026-11-24T07:30:00Z".parse().unwrap()
}

fn prm() -> Prm {
    "01234567890123".parse().unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// A series that is complete.
fn series(dataset: Dataset) -> SeriesStatus {
    SeriesStatus {
        window_end: None,
        prm: prm(),
        name: "Maison".to_owned(),
        source: "enedis".to_owned(),
        dataset,
        state: SeriesState::Ok,
        newest_day: Some(day("2026-11-23")),
        oldest_day: Some(day("2023-11-09")),
        gaps: 0,
        days: BTreeMap::from([(DayState::Complete, 1_111)]),
        code: None,
        message: None,
        last_success_at: Some(1_795_500_000),
        not_before: None,
        next_try_at: None,
        consent_until: None,
    }
}

fn three(change: impl Fn(&mut SeriesStatus)) -> Vec<SeriesStatus> {
    let datasets = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];
    let mut all: Vec<_> = datasets.into_iter().map(series).collect();
    all.iter_mut().for_each(change);
    all
}

/// The sources as they stand with the same spent of each counter.
fn views(config: &Config, spent: Spent) -> Vec<SourceView> {
    let view = |counted: Counted| SourceView {
        name: counted.source.name().to_owned(),
        scope: counted.source.scope(),
        counters: counted.counters().map(|(pool, limits)| Counter { pool, limits, spent }).collect(),
        pause: None,
    };
    wiring::counted(config).into_iter().map(view).collect()
}

/// What a status text is about; nothing is left unseen but what no line is there for.
fn page<'a>(series: &'a [SeriesStatus], sources: &'a [SourceView], config: &'a Config) -> Page<'a> {
    let unseen = crate::daemon::agenda::unseen(series, config).leak();
    let backlog = Box::leak(Box::default());
    let (customers, unasked, now) = (&[], &[], now());
    Page { series, customers, unseen, unasked, sources, backlog, config, now, narrowed: None, colours: false }
}

fn status_text(series: &[SeriesStatus], spent: Spent) -> String {
    let config = configured(CONFIG);
    status::text(&page(series, &views(&config, spent), &config)).replace('\u{a0}', "_")
}

#[test]
fn status_of_a_complete_history() {
    insta::assert_snapshot!(status_text(&three(|_| ()), Spent { hour: 116, day: 116, told_left: None }), @r#"
    METER   DATASET                 STATE  NEWEST      OLDEST      COMPLETE  OPEN  ABSENT
    Maison  consumption_load_curve  ok     2026-11-23  2023-11-09     1_111     0       0
    Maison  daily_consumption       ok     2026-11-23  2023-11-09     1_111     0       0
    Maison  daily_max_power         ok     2026-11-23  2023-11-09     1_111     0       0

    Source enedis: 116 of 900 calls in the last hour, 116 calls in the last 24 hours.
    "#);
}

fn kept(about: CustomerDataset) -> CustomerStatus {
    CustomerStatus {
        prm: prm(),
        name: "Maison".to_owned(),
        source: "enedis".to_owned(),
        about,
        state: SeriesState::Ok,
        code: None,
        message: None,
        last_success_at: Some(1_795_500_000),
        next_try_at: None,
    }
}

#[test]
fn status_of_what_is_kept_of_customers() {
    let config = configured(&CONFIG.replace("name =", "datasets = [\"contract\", \"address\"]\nname ="));
    let refused = CustomerStatus {
        state: SeriesState::NotOffered,
        message: Some("Subscribe to it.".to_owned()),
        last_success_at: None,
        next_try_at: Some(1_796_000_000),
        ..kept(CustomerDataset::Address)
    };
    let customers = [kept(CustomerDataset::Contract), refused];
    let text = status::text(&Page { customers: &customers, ..page(&[], &[], &config) }).replace('\u{a0}', "_");
    insta::assert_snapshot!(text.trim_end(), @r"
    METER   DATASET   STATE        ANSWERED    NEXT LOOK
    Maison  contract  ok           2026-11-24  2026-12-01
    Maison  address   not offered  -           2026-11-30

    Maison, address: Subscribe to it. Asked again 2026-11-30 01:53 (Paris).
    ");
    let well = [kept(CustomerDataset::Contract)];
    let series = three(|_| ());
    let text = status::text(&Page { customers: &well, ..page(&series, &[], &configured(CONFIG)) });
    insta::assert_snapshot!(text.replace('\u{a0}', "_").trim_end(), @r"
    METER   DATASET                 STATE  NEWEST      OLDEST      COMPLETE  OPEN  ABSENT
    Maison  consumption_load_curve  ok     2026-11-23  2023-11-09     1_111     0       0
    Maison  daily_consumption       ok     2026-11-23  2023-11-09     1_111     0       0
    Maison  daily_max_power         ok     2026-11-23  2023-11-09     1_111     0       0

    METER   DATASET   STATE  ANSWERED    NEXT LOOK
    Maison  contract  ok     2026-11-24  2026-12-01
    ");
}

#[test]
fn status_of_customers_that_nobody_has_asked_about() {
    let config = configured(&CONFIG.replace("name =", "datasets = [\"contract\", \"address\"]\nname ="));
    let waiting =
        CustomerStatus { state: SeriesState::Waiting, last_success_at: None, ..kept(CustomerDataset::Contract) };
    let customers = [waiting];
    let unasked = crate::daemon::agenda::unasked(&customers, &config);
    let text = status::text(&Page { customers: &customers, unasked: &unasked, ..page(&[], &[], &config) });
    insta::assert_snapshot!(text.trim_end(), @r"
    METER   DATASET   STATE    ANSWERED  NEXT LOOK
    Maison  contract  waiting  -         -

    Maison, address: not asked yet; run `linkyd sync`.
    Maison, contract: waiting for the next pass.
    ");
}

#[test]
fn status_of_a_backfill_that_takes_days() {
    let backlog = Backlog {
        calls: 1_204,
        until: Some(now().timestamp() + 5 * 86_400),
        sources: Vec::new(),
        expiring: BTreeMap::from([(Dataset::ConsumptionLoadCurve, 12)]),
    };
    let (config, series) = (configured(CONFIG), three(|_| ()));
    let text = status::text(&Page { backlog: &backlog, ..page(&series, &[], &config) }).replace('\u{a0}', "_");
    insta::assert_snapshot!(text.split_once("\n\n").unwrap().1, @r"
    Left to fetch: 1_204 calls, until about 2026-11-29 08:30 (Paris).
    consumption_load_curve: 12 days will leave the window before their turn; more calls a day would save them.
    ");
}

#[test]
fn status_names_who_stands_in() {
    let config = configured(
        "[source.home]\nkind = \"conso-api\"\n[source.med]\nkind = \"myelectricaldata\"\nclient_id = \"a\"\n\
         [[meter]]\nprm = \"01234567890123\"\nname = \"Maison\"\nsources = [\"home\", \"med\"]\n",
    );
    let mut all = three(|_| ());
    for (one, source) in all.iter_mut().zip(["med", "home", "med"]) {
        source.clone_into(&mut one.source);
    }
    let text = status::text(&page(&all, &[], &config));
    let line = text.lines().find(|line| line.contains("stands in"));
    assert_eq!(line, Some("Maison, consumption_load_curve, daily_max_power: source med stands in for home."));
}

#[test]
fn status_of_gateways_that_pause_and_of_consents_that_end() {
    let config = configured(
        "[source.home]\nkind = \"conso-api\"\n[source.med]\nkind = \"myelectricaldata\"\nclient_id = \"a\"\n\
         [[meter]]\nprm = \"01234567890123\"\nname = \"Maison\"\nsources = [\"home\", \"med\"]\n",
    );
    let mut views = views(&config, Spent { hour: 2, day: 7, told_left: Some(3) });
    let state = SourceState {
        not_before_ms: Some(now().timestamp_millis() + 7 * 86_400_000),
        code: Some("banned".to_owned()),
        message: Some("It has banned this address. Stop other programs, then run: linkyd resume NAME.".to_owned()),
        ..SourceState::default()
    };
    views[0].pause = PauseView::of("home", &state, now());
    let quota = SourceState { message: Some("The quota is used up.".to_owned()), ..state };
    views[1].pause = PauseView::of("med", &quota, now());
    let all = three(|s| {
        s.consent_until = Some(now().timestamp() + 20 * 86_400 + 60);
        "home".clone_into(&mut s.source);
    });
    let text = status::text(&page(&all, &views, &config)).replace('\u{a0}', "_");
    let text = text.split_once("\n\n").unwrap().1;
    insta::assert_snapshot!(text, @r#"
    Maison: the consent ends on 2026-12-14, in 20 days; renew it before.

    Source home: 2 of 10 calls in the last hour, 7 of 20 calls in the last 24 hours, 3 left as it says itself.
    Source home pauses until 2026-12-01 08:30 (Paris): It has banned this address. Stop other programs, then run: linkyd resume home.
    Source med, live: 2 calls in the last hour, 7 of 40 calls in the last 24 hours, 3 left as it says itself.
    Source med, cached: 2 calls in the last hour, 7 of 400 calls in the last 24 hours, 3 left as it says itself.
    Source med pauses until 2026-12-01 08:30 (Paris): The quota is used up. To end the pause now: linkyd resume med.
    "#);
    let entries = views[0].budget();
    assert_eq!(
        entries[1],
        serde_json::json!({
            "source": "home", "scope": "address", "pool": "live", "window": "day",
            "limit": 20, "used": 7, "left": 3, "per_hour": 10, "spent_hour": 2, "per_day": 20, "spent_day": 7,
            "told_left": 3, "paused_until": "2026-12-01T07:30:00Z", "pause_code": "banned",
            "pause_reason": "It has banned this address. Stop other programs, then run: linkyd resume home",
        })
    );
    assert_eq!(views[1].budget().len(), 4);
    assert!(PauseView::of("home", &SourceState { not_before_ms: Some(1), ..SourceState::default() }, now()).is_none());
}

#[test]
fn status_before_any_pass() {
    insta::assert_snapshot!(status_text(&[], Spent::default()), @r#"
    No pass has been made yet: run `linkyd sync`.
    "#);
}

#[test]
fn status_of_a_series_that_no_pass_has_seen() {
    insta::assert_snapshot!(status_text(&three(|_| ())[..2], Spent::default()), @r#"
    METER   DATASET                 STATE  NEWEST      OLDEST      COMPLETE  OPEN  ABSENT
    Maison  consumption_load_curve  ok     2026-11-23  2023-11-09     1_111     0       0
    Maison  daily_consumption       ok     2026-11-23  2023-11-09     1_111     0       0

    Maison, daily_max_power: not asked yet; run `linkyd sync`.

    Source enedis: 0 of 900 calls in the last hour.
    "#);
}

#[test]
fn status_with_gaps_and_late_days() {
    let all = three(|s| {
        s.newest_day = Some(day("2026-11-19"));
        s.gaps = 2;
        s.days = BTreeMap::from([(DayState::Complete, 1_100), (DayState::Pending, 4), (DayState::Absent, 7)]);
    });
    insta::assert_snapshot!(status_text(&all, Spent { hour: 3, day: 9, told_left: None }), @r#"
    METER   DATASET                 STATE  NEWEST      OLDEST      COMPLETE  OPEN  ABSENT
    Maison  consumption_load_curve  late   2026-11-19  2023-11-09     1_100     4       7
    Maison  daily_consumption       late   2026-11-19  2023-11-09     1_100     4       7
    Maison  daily_max_power         late   2026-11-19  2023-11-09     1_100     4       7

    Source enedis: 3 of 900 calls in the last hour, 9 calls in the last 24 hours.
    "#);
}

#[test]
fn status_of_a_meter_without_consent() {
    let all = three(|s| {
        s.state = SeriesState::Suspended;
        s.code = Some("UNAUTHORIZED-USER".to_owned());
        s.message = Some("The customer's consent is gone. Ask for it again.".to_owned());
        s.next_try_at = Some(now().timestamp() + 86_400);
    });
    insta::assert_snapshot!(status_text(&all, Spent { hour: 1, day: 1, told_left: None }), @r#"
    METER   DATASET                 STATE      NEWEST      OLDEST      COMPLETE  OPEN  ABSENT
    Maison  consumption_load_curve  suspended  2026-11-23  2023-11-09     1_111     0       0
    Maison  daily_consumption       suspended  2026-11-23  2023-11-09     1_111     0       0
    Maison  daily_max_power         suspended  2026-11-23  2023-11-09     1_111     0       0

    Maison, consumption_load_curve, daily_consumption, daily_max_power: The customer's consent is gone. Ask for it again. Asked again 2026-11-25 08:30 (Paris).

    Source enedis: 1 of 900 calls in the last hour, 1 call in the last 24 hours.
    "#);
}

#[test]
fn status_of_failing_and_waiting_series() {
    let all = three(|s| {
        if s.dataset == Dataset::DailyMaxPower {
            s.state = SeriesState::Failing;
            s.message = Some("Enedis answers with an error of its own (HTTP 500: technical_error).".to_owned());
        } else {
            s.state = SeriesState::Waiting;
            s.message = Some("The call budget of the hour is used up".to_owned());
        }
    });
    insta::assert_snapshot!(status_text(&all, Spent { hour: 900, day: 5_000, told_left: None }), @r#"
    METER   DATASET                 STATE    NEWEST      OLDEST      COMPLETE  OPEN  ABSENT
    Maison  consumption_load_curve  waiting  2026-11-23  2023-11-09     1_111     0       0
    Maison  daily_consumption       waiting  2026-11-23  2023-11-09     1_111     0       0
    Maison  daily_max_power         failing  2026-11-23  2023-11-09     1_111     0       0

    Maison, consumption_load_curve, daily_consumption: The call budget of the hour is used up.
    Maison, daily_max_power: Enedis answers with an error of its own (HTTP 500: technical_error).

    Source enedis: 900 of 900 calls in the last hour, 5_000 calls in the last 24 hours.
    "#);
}

fn planned(dataset: Dataset, first: &str, end: &str, reason: Reason) -> PlannedCall<'static> {
    let days = Days::new(day(first), day(end)).unwrap();
    PlannedCall { prm: Box::leak(Box::new(prm())), name: "Maison", source: "enedis", dataset, days, reason }
}

fn plan_text(calls: &[PlannedCall<'_>], spent: Spent, limits: &str, takes: i64) -> String {
    let config = configured(&CONFIG.replace("[[meter]]", &format!("{limits}\n[[meter]]")));
    let (_, limits) = wiring::counted(&config)[0].counters().next().unwrap();
    let count = i64::try_from(calls.len()).unwrap();
    let budget = plan::Budget { source: "enedis", limits, spent, calls: count, until: takes };
    plan::text((calls.iter().copied(), &[]), false, &[budget], 0, (false, false)).replace('\u{a0}', "_")
}

#[test]
fn plan_of_nothing() {
    insta::assert_snapshot!(plan_text(&[], Spent::default(), "", 0), @r#"
    Nothing to fetch: everything that is published is here, or not due yet.
    "#);
}

#[test]
fn plan_of_a_morning() {
    let calls = [
        planned(Dataset::ConsumptionLoadCurve, "2026-11-17", "2026-11-24", Reason::Yesterday),
        planned(Dataset::ConsumptionLoadCurve, "2025-02-01", "2025-02-08", Reason::Missing),
        planned(Dataset::DailyConsumption, "2025-11-24", "2026-11-24", Reason::Yesterday),
    ];
    insta::assert_snapshot!(plan_text(&calls, Spent { hour: 10, day: 10, told_left: None }, "", 0), @r#"
    METER   DATASET                 CALLS  FROM        TO          WHY
    Maison  consumption_load_curve      2  2025-02-01  2026-11-23  yesterday, missing
    Maison  daily_consumption           1  2025-11-24  2026-11-23  yesterday

    Source enedis: 3 calls, about 1 s within its limits (890 left this hour).
    "#);
}

#[test]
fn plan_beyond_the_budget_says_how_long_it_takes() {
    let call = planned(Dataset::DailyConsumption, "2025-11-24", "2026-11-24", Reason::Missing);
    let calls = vec![call; 2_000];
    insta::assert_snapshot!(plan_text(&calls, Spent { hour: 100, day: 100, told_left: None }, "", 7_200), @r#"
    METER   DATASET            CALLS  FROM        TO          WHY
    Maison  daily_consumption  2_000  2025-11-24  2026-11-23  missing

    Source enedis: 2_000 calls, about 2 h within its limits (800 left this hour).
    "#);
    let daily = "[source.enedis.limits]\nrequests_per_day = 500";
    insta::assert_snapshot!(plan_text(&calls, Spent { hour: 100, day: 100, told_left: None }, daily, 4 * 86_400), @r#"
    METER   DATASET            CALLS  FROM        TO          WHY
    Maison  daily_consumption  2_000  2025-11-24  2026-11-23  missing

    Source enedis: 2_000 calls, about 4 d within its limits (800 left this hour, 400 left today).
    "#);
}

fn report(states: [(SeriesState, Option<&str>); 3]) -> Report {
    let datasets = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];
    let datasets = datasets.into_iter().zip(states).map(|(dataset, (state, error))| DatasetReport {
        series: (MeterId(1), dataset),
        unserved: false,
        left: 0,
        source: "enedis".to_owned(),
        stands_in: false,
        dataset,
        state,
        code: None,
        error: error.map(str::to_owned),
    });
    let meter = MeterReport { prm: prm(), name: "Maison".to_owned(), datasets: datasets.collect() };
    Report { meters: vec![meter], ..Report::default() }
}

fn sync_text(report: &Report) -> String {
    sync::text(report).replace('\u{a0}', "_")
}

#[test]
fn sync_of_a_whole_history_and_of_nothing() {
    let ok = report([(SeriesState::Ok, None); 3]);
    let whole = Report { calls: 115, inserted: 37_982, ..ok.clone() };
    insta::assert_snapshot!(sync_text(&whole), @r#"
    115 calls: 37_982 new values, 0 changed.
    "#);
    insta::assert_snapshot!(sync_text(&ok), @r#"
    Nothing to fetch: everything that is published is here, or not due yet.
    "#);
    insta::assert_snapshot!(sync_text(&Report { calls: 3, left: 112, stopped: true, ..ok }), @r#"
    3 calls: 0 new values, 0 changed.
    112 calls left for later.
    "#);
}

#[test]
fn sync_with_trouble() {
    let mut some = report([
        (SeriesState::Ok, None),
        (SeriesState::Failing, Some("Enedis answers with an error of its own (HTTP 500).")),
        (SeriesState::NotOffered, Some("Enedis does not offer this for the meter.")),
    ]);
    some.calls = 3;
    insta::assert_snapshot!(sync_text(&some), @r#"
    3 calls: 0 new values, 0 changed.
    Maison, daily_consumption: failing. Enedis answers with an error of its own (HTTP 500).
    Maison, daily_max_power: not offered. Enedis does not offer this for the meter.
    "#);
    let why = "The source could not be reached. Check the network.";
    let mut down = report([(SeriesState::Waiting, Some(why)); 3]);
    down.left = 115;
    down.interruptions = vec![Interruption {
        source: "enedis".to_owned(),
        stop: Stop::Later,
        until_ms: Some(now().timestamp_millis() + 60_000),
        message: why.to_owned(),
        refusal: None,
        unserved: std::collections::BTreeSet::new(),
    }];
    insta::assert_snapshot!(sync_text(&down), @r#"
    0 calls: 0 new values, 0 changed.
    Maison, consumption_load_curve, daily_consumption, daily_max_power: waiting.
    Source enedis: The source could not be reached. Check the network. Not before 2026-11-24 08:31 (Paris).
    115 calls left for later.
    "#);
    assert!(!sync_text(&down).contains(prm().full()));
}

/// Meters of a cooperative: as many as are named, each with three series.
fn many(count: u64, change: impl Fn(u64, &mut SeriesStatus)) -> (Config, Vec<SeriesStatus>) {
    let mut text = "[source.enedis]\nclient_id = \"app\"\n".to_owned();
    let mut all = Vec::new();
    for n in 1..=count {
        let prm = format!("{:014}", 10_000_000_000_000 + n);
        let _infallible = writeln!(text, "[[meter]]\nprm = \"{prm}\"\nname = \"Lot {n}\"");
        for mut one in three(|_| ()) {
            (one.prm, one.name) = (prm.parse().unwrap(), format!("Lot {n}"));
            change(n, &mut one);
            all.push(one);
        }
    }
    (configured(&text), all)
}

fn fleet_text(config: &Config, series: &[SeriesStatus]) -> String {
    let sources = views(config, Spent { hour: 900, day: 9_000, told_left: None });
    status::fleet::text(&page(series, &sources, config)).replace('\u{a0}', "_")
}

#[test]
fn status_of_many_meters_counts_them_and_shows_what_needs_attention() {
    let (config, mut series) = many(1_200, |n, s| match (n % 400, s.dataset) {
        (7, Dataset::DailyMaxPower) => {
            s.state = SeriesState::Failing;
            s.message = Some("Enedis answers with an error of its own (HTTP 500).".to_owned());
            s.next_try_at = Some(now().timestamp() + 3_600 + i64::try_from(n).unwrap());
        }
        (8, _) => {
            s.state = SeriesState::Suspended;
            s.message = Some("The customer's consent is gone. Ask for it again.".to_owned());
        }
        (9, Dataset::DailyConsumption) => s.newest_day = Some(day("2026-11-10")),
        (10, _) => s.consent_until = Some(now().timestamp() + 20 * 86_400),
        (11, _) => s.consent_until = Some(now().timestamp() + 200 * 86_400),
        _ => {}
    });
    series.truncate(3_597);
    insta::assert_snapshot!(fleet_text(&config, &series), @r#"
    1_199 meters, 3_597 series: 3_996_267 days complete, 0 open, 0 absent.

    STATE          SERIES  METERS
    ok              3_582   1_196
    late                3       3
    failing             3       3
    suspended           9       3
    not asked yet       3       1

    METER    DATASET                 STATE      NEWEST      OLDEST      COMPLETE  OPEN  ABSENT
    Lot 7    daily_max_power         failing    2026-11-23  2023-11-09     1_111     0       0
    Lot 8    consumption_load_curve  suspended  2026-11-23  2023-11-09     1_111     0       0
    Lot 8    daily_consumption       suspended  2026-11-23  2023-11-09     1_111     0       0
    Lot 8    daily_max_power         suspended  2026-11-23  2023-11-09     1_111     0       0
    Lot 9    daily_consumption       late       2026-11-10  2023-11-09     1_111     0       0
    Lot 407  daily_max_power         failing    2026-11-23  2023-11-09     1_111     0       0
    Lot 408  consumption_load_curve  suspended  2026-11-23  2023-11-09     1_111     0       0
    Lot 408  daily_consumption       suspended  2026-11-23  2023-11-09     1_111     0       0
    Lot 408  daily_max_power         suspended  2026-11-23  2023-11-09     1_111     0       0
    Lot 409  daily_consumption       late       2026-11-10  2023-11-09     1_111     0       0
    Lot 807  daily_max_power         failing    2026-11-23  2023-11-09     1_111     0       0
    Lot 808  consumption_load_curve  suspended  2026-11-23  2023-11-09     1_111     0       0
    Lot 808  daily_consumption       suspended  2026-11-23  2023-11-09     1_111     0       0
    Lot 808  daily_max_power         suspended  2026-11-23  2023-11-09     1_111     0       0
    Lot 809  daily_consumption       late       2026-11-10  2023-11-09     1_111     0       0

    Lot 8, Lot 408, Lot 808, 9 series: The customer's consent is gone. Ask for it again.
    Lot 7, Lot 407, Lot 807, 3 series: Enedis answers with an error of its own (HTTP 500). Asked again from 2026-11-24 09:30 (Paris) on.

    Lot 10: the consent ends on 2026-12-14, in 20 days; renew it before.
    Lot 410: the consent ends on 2026-12-14, in 20 days; renew it before.
    Lot 810: the consent ends on 2026-12-14, in 20 days; renew it before.

    Source enedis: 900 of 900 calls in the last hour, 9_000 calls in the last 24 hours.
    "#);
}

#[test]
fn what_needs_attention_in_thousands_is_told_in_dozens() {
    let (config, series) = many(2_000, |n, s| {
        s.state = SeriesState::Failing;
        s.message = Some(format!("Trouble number {}.", n % 100));
        s.consent_until = Some(now().timestamp());
    });
    let text = fleet_text(&config, &series);
    assert!(text.contains("… and 5_960 more: `linkyd status --failing`"), "{text}");
    assert!(text.contains("Lot 1, Lot 101, Lot 201 and 17 other meters, 60 series: Trouble number 1.\n"), "{text}");
    assert!(text.contains("… and 60 more messages") && text.contains("… and 1_960 more consents end soon"), "{text}");
    assert!(text.lines().count() < 140);
    assert!(!text.contains("10000000000001"));
}

#[test]
fn the_form_follows_the_number_of_meters() {
    let (_, few) = many(25, |_, _| ());
    let (_, more) = many(26, |_, _| ());
    assert!(!status::fleet::is_one(&few) && status::fleet::is_one(&more) && !status::fleet::is_one(&[]));
}

#[test]
fn plan_of_many_meters_has_a_line_for_each_dataset() {
    let calls: Vec<PlannedCall<'_>> = (0..2_000)
        .map(|n| {
            let dataset = if n % 2 == 0 { Dataset::DailyConsumption } else { Dataset::ConsumptionLoadCurve };
            let reason = if n < 1_000 { Reason::Yesterday } else { Reason::Missing };
            let call = planned(dataset, "2026-11-17", "2026-11-24", reason);
            PlannedCall { prm: Box::leak(Box::new(format!("{:014}", n % 500).parse().unwrap())), ..call }
        })
        .collect();
    insta::assert_snapshot!(plan_text(&calls, Spent::default(), "", 7_200), @r#"
    METERS  DATASET                 CALLS  FROM        TO          WHY
       250  daily_consumption       1_000  2026-11-17  2026-11-23  yesterday, missing
       250  consumption_load_curve  1_000  2026-11-17  2026-11-23  yesterday, missing

    Source enedis: 2_000 calls, about 2 h within its limits (900 left this hour).
    "#);
}

#[test]
fn sync_of_many_meters_tells_each_trouble_once() {
    let why = "Enedis answers with an error of its own (HTTP 500).";
    let mut all = Report { calls: 9_000, inserted: 100, ..Report::default() };
    for n in 1..=3_000 {
        let state = |bad| if bad { (SeriesState::Failing, Some(why)) } else { (SeriesState::Ok, None) };
        let mut one = report([state(n % 10 == 0), state(n % 20 == 0), (SeriesState::Ok, None)]).meters.remove(0);
        one.name = format!("Lot {n}");
        one.datasets[2].stands_in = n > 2_998;
        all.meters.push(one);
    }
    insta::assert_snapshot!(sync_text(&all), @r#"
    9_000 calls: 100 new values, 0 changed.
    Lot 2999, Lot 3000, 2 series: source enedis stands in for the preferred one.
    Lot 10, Lot 20, Lot 30 and 297 other meters, 450 series: failing. Enedis answers with an error of its own (HTTP 500).
    "#);
}
