//! Rows that a broken decoder spoilt, from the answers that were kept.

use std::sync::Arc;

use async_trait::async_trait;
use linkyd::client::{Transport, TransportError};
use linkyd::clock::Clock as _;
use linkyd::decode::{Expected, decode};
use linkyd::domain::{Api, Dataset, DayState, Days, Kind, SameDay, SeriesState, Values};
use linkyd::engine::Selection;
use linkyd::engine::replay::{Mended, Replayed, differences, replay, restore};
use linkyd::plan;
use linkyd::simulator::{MeterKind, MeterSpec, World};
use linkyd::source::{Request, Response};
use linkyd::store::copy::{Chunk, TABLES};
use linkyd::store::{Answer, CallEnd, CallId, KeptAnswer, MeterId, Raw};

use crate::support::gateways::conso;
use crate::support::{InMemory, On, Rig, at, day, on_both_engines, prm};

on_both_engines! {
    a_replay_restores_the_exact_rows_without_a_call,
    a_correction_whose_answer_is_lost_is_not_taken_back,
    a_decoder_that_shifted_labels_leaves_no_row_behind,
    what_a_lost_answer_may_have_brought_stays,
    a_row_of_enedis_that_was_spoilt_over_a_gateways_is_mended,
    an_answer_that_cannot_be_read_is_kept_until_it_can,
}

const METER: &str = "01234567890123";

/// Everything that answers bring, row by row.
async fn rows(rig: &Rig) -> Vec<Chunk> {
    let mut rows = rig.database.bulk().rows(TABLES, 1_000_000).await.unwrap();
    let mut all = Vec::new();
    while let Some(chunk) = rows.recv().await {
        let chunk = chunk.unwrap();
        if [
            "load_curve",
            "daily_energy",
            "max_power",
            "register_reading",
            "daily_by_class",
            "coverage",
            "call",
            "series",
        ]
        .contains(&chunk.table.name)
        {
            all.push(chunk);
        }
    }
    all
}

/// The tables and columns in which rows differ, with how many of them do.
fn differing(before: &[Chunk], after: &[Chunk]) -> Vec<String> {
    let mut told = Vec::new();
    assert_eq!(before.len(), after.len());
    for (old, new) in before.iter().zip(after) {
        let name = old.table.name;
        if (name, old.rows) != (new.table.name, new.rows) {
            told.push(format!("{name}: {} rows, now {} of {}", old.rows, new.rows, new.table.name));
            continue;
        }
        for ((column, old), new) in old.table.columns.iter().zip(&old.columns).zip(&new.columns) {
            if old != new {
                told.push(format!("{name}.{}", column.name));
            }
        }
    }
    told
}

/// Restores what the answers come to; it is what was foretold.
async fn mend(rig: &Rig, kept: &[KeptAnswer], replayed: &Replayed) -> Mended {
    let Some(one) = kept.first() else { return Mended::default() };
    let foretold = differences(&rig.store.held_values(one.meter, one.dataset).await.unwrap(), replayed);
    let done = restore(&*rig.store, kept, replayed, rig.clock.now().timestamp()).await.unwrap();
    assert_eq!(done, foretold, "{}", one.dataset);
    done
}

/// Replays every series, and says what that came to.
async fn mend_all(rig: &Rig) -> Mended {
    let mut all = Mended::default();
    for (meter, dataset) in rig.store.kept_series().await.unwrap() {
        let kept = rig.store.kept(meter, dataset).await.unwrap();
        let replayed = replay(dataset.kind(), &kept, &rig.store.not_kept(meter, dataset).await.unwrap(), None);
        let done = mend(rig, &kept, &replayed).await;
        all.lacked += done.lacked;
        all.differed += done.differed;
        all.surplus += done.surplus;
    }
    all
}

/// Values as a decoder has them that reads each label so many seconds, or days, too late.
fn shifted(values: Values, seconds: i64, days: i32) -> Values {
    match values {
        Values::Curve(mut points) => {
            for point in &mut points {
                point.interval.start += seconds;
            }
            Values::Curve(points)
        }
        Values::Energy(mut some) => {
            for value in &mut some {
                value.day = value.day.plus(days);
            }
            Values::Energy(some)
        }
        Values::Peaks(mut some) => {
            for value in &mut some {
                value.day = value.day.plus(days);
            }
            Values::Peaks(some)
        }
        Values::Registers(mut some) => {
            for reading in &mut some {
                reading.read_at += seconds;
            }
            Values::Registers(some)
        }
    }
}

/// Fills the tables of a meter's series anew, as if each of its answers had been read like that when it came. What is
/// known of days stays as it is.
async fn read_anew(rig: &Rig, meter: MeterId, dataset: Dataset, as_read: impl Fn(&KeptAnswer, Values) -> Values) {
    let direction = i32::from(dataset.direction() == linkyd::domain::Direction::Production);
    let tables: &[&str] = match dataset.kind() {
        Kind::LoadCurve => &["load_curve"],
        Kind::DailyEnergy => &["daily_energy"],
        Kind::MaxPower => &["max_power"],
        Kind::Registers => &["register_reading", "daily_by_class"],
    };
    for table in tables {
        let of = if *table == "max_power" { String::new() } else { format!(" AND direction = {direction}") };
        rig.run(&format!("DELETE FROM {table} WHERE meter = {}{of}", meter.0)).await;
    }
    rig.run("CREATE TABLE known AS SELECT * FROM coverage").await;
    for answer in rig.store.kept(meter, dataset).await.unwrap() {
        let body = answer.raw.unpack().unwrap();
        let (api, label, days) = (answer.raw.api, answer.raw.label, answer.days);
        let read = decode(&body, &Expected { api, label, dataset, prm: &answer.prm, days }).unwrap();
        let again = Answer {
            end: CallEnd { call: CallId(0), lease: None, status: None, code: None, duration_ms: 0 },
            meter,
            dataset,
            source: answer.source,
            direct: answer.direct,
            covered: Days::new(days.first().plus(-1), days.end().next()).unwrap(),
            exact: false,
            same_day: SameDay::Often,
            values: as_read(&answer, read.values),
            asked_at: answer.asked_at,
            window_first: days.first(),
            effects: Vec::new(),
            raw: None,
        };
        rig.store.restore(again, Vec::new()).await.unwrap();
    }
    rig.run("DELETE FROM coverage; INSERT INTO coverage SELECT * FROM known; DROP TABLE known").await;
}

async fn revisions(rig: &Rig) -> u64 {
    rig.rows("SELECT CAST(count(*) AS text) FROM revision".to_owned()).await[0].parse().unwrap()
}

async fn a_decoder_that_shifted_labels_leaves_no_row_behind(on: On) {
    let world = World::new(33).with(MeterSpec::new(prm(METER)).kind(MeterKind::Both));
    let rig = Rig::on(on, world, &Dataset::ALL, at("2026-11-20T08:30:00+01:00")).await.since(day("2026-10-20"));
    for _ in 0..3 {
        rig.pass().await;
        rig.next_morning(8, 30);
    }
    let before = rows(&rig).await;
    // By an interval and by half of one, so that what is stored overlaps what is right; and days by one.
    for (seconds, days) in [(1800, 1), (900, 0), (-900, -1)] {
        for (meter, dataset) in rig.store.kept_series().await.unwrap() {
            read_anew(&rig, meter, dataset, |_, values| shifted(values, seconds, days)).await;
        }
        assert_ne!(differing(&before, &rows(&rig).await), [""; 0]);
        let already = revisions(&rig).await;
        let done = mend_all(&rig).await;
        assert!(done.surplus > 0, "{done:?}");
        assert_eq!(differing(&before, &rows(&rig).await), [""; 0], "shifted by {seconds} s");
        assert_eq!(revisions(&rig).await - already, done.differed + done.surplus, "nothing is lost silently");
        rig.assert_sound().await;
        assert!(mend_all(&rig).await.is_nothing());
    }
    let gone = "SELECT CAST(count(*) AS text) FROM v_revision WHERE new_value IS NULL";
    assert_ne!(rig.rows(gone.to_owned()).await, ["0"], "what nothing has replaced says so");
}

async fn what_a_lost_answer_may_have_brought_stays(on: On) {
    let world = World::new(34).with(MeterSpec::new(prm(METER)));
    let series = [Dataset::ConsumptionLoadCurve];
    let rig = Rig::on(on, world, &series, at("2026-11-20T08:30:00+01:00")).await.since(day("2026-10-20"));
    rig.pass().await;
    let (meter, dataset) = rig.store.kept_series().await.unwrap()[0];
    read_anew(&rig, meter, dataset, |_, values| shifted(values, 900, 0)).await;
    let kept = rig.store.kept(meter, dataset).await.unwrap();
    let lost = kept[kept.len() / 2].clone();
    let near = Days::new(lost.days.first().plus(-1), lost.days.end().next()).unwrap();
    rig.run(&format!("DELETE FROM raw_answer WHERE call = {}", lost.call.0)).await;
    let shifted_rows = |among: &str| {
        rig.rows(format!(
            "SELECT starts_at || ' ' || watts FROM v_load_curve WHERE minutes = 30 AND starts_epoch % 1800 <> 0
                 AND {among} (day >= '{}' AND day < '{}') ORDER BY 1",
            near.first(),
            near.end()
        ))
    };
    let before = shifted_rows("").await;
    assert!(!before.is_empty());
    assert!(mend_all(&rig).await.surplus > 0);
    assert_eq!(shifted_rows("").await, before);
    assert_eq!(shifted_rows("NOT").await, Vec::<String>::new(), "of all other days every answer is there");
}

async fn a_row_of_enedis_that_was_spoilt_over_a_gateways_is_mended(on: On) {
    let world = World::new(35).with(MeterSpec::new(prm(METER)));
    let series = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];
    let rig = Rig::on(on, world, &series, at("2026-11-20T08:30:00+01:00")).await.since(day("2026-11-12"));
    let mut rig = rig.served_by(&["home"]);
    rig.gateways = vec![conso(&rig.simulator, "home")];
    rig.pass().await;
    rig.next_morning(8, 30);
    let all = || plan::Request { operator: true, refetch: true, only: Days::new(day("2026-11-12"), day("2026-11-20")) };
    rig = rig.served_by(&["enedis"]);
    rig.pass_with(Selection { request: all(), ..Selection::default() }).await;
    rig.next_morning(8, 30);
    rig = rig.served_by(&["home"]);
    rig.pass_with(Selection { request: all(), ..Selection::default() }).await;
    let before = rows(&rig).await;
    let sources = rig.store.kept_series().await.unwrap();
    for (meter, dataset) in sources {
        let kept = rig.store.kept(meter, dataset).await.unwrap();
        assert!(kept.iter().any(|answer| answer.direct) && kept.iter().any(|answer| !answer.direct), "{dataset}");
        // What came from Enedis itself was read wrongly, and holds: the gateway's right values give way to it.
        read_anew(&rig, meter, dataset, |answer, values| match values {
            Values::Curve(mut points) if answer.direct => {
                for point in &mut points {
                    point.watts += 1;
                }
                Values::Curve(points)
            }
            Values::Energy(mut some) if answer.direct => {
                for value in &mut some {
                    value.wh += 1;
                }
                Values::Energy(some)
            }
            Values::Peaks(mut some) if answer.direct => {
                for value in &mut some {
                    value.va += 1;
                }
                Values::Peaks(some)
            }
            values => values,
        })
        .await;
    }
    assert_ne!(differing(&before, &rows(&rig).await), [""; 0]);
    let done = mend_all(&rig).await;
    assert!(done.differed > 300 && (done.lacked, done.surplus) == (0, 0), "{done:?}");
    assert_eq!(differing(&before, &rows(&rig).await), [""; 0]);
    assert!(mend_all(&rig).await.is_nothing());
}

async fn a_replay_restores_the_exact_rows_without_a_call(on: On) {
    let world = World::new(31).with(MeterSpec::new(prm(METER)).kind(MeterKind::Both));
    let rig = Rig::on(on, world, &Dataset::ALL, at("2026-11-20T08:30:00+01:00")).await.since(day("2026-10-01"));
    for _ in 0..3 {
        rig.pass().await;
        rig.next_morning(8, 30);
    }
    let before = rows(&rig).await;
    let revisions = "SELECT CAST(count(*) AS text) FROM v_revision";
    assert_eq!(rig.rows(revisions.to_owned()).await, ["0"]);
    for damage in [
        "UPDATE load_curve SET watts = watts + 7 WHERE watts % 5 = 0",
        "DELETE FROM load_curve WHERE watts % 7 = 3",
        "UPDATE daily_energy SET wh = wh + 1 WHERE wh % 2 = 0",
        "DELETE FROM daily_energy WHERE wh % 5 = 2",
        "DELETE FROM max_power WHERE va % 3 = 0",
        "UPDATE max_power SET va = va + 1 WHERE va % 3 = 1",
        "DELETE FROM register_reading WHERE wh % 3 = 0",
        "UPDATE register_reading SET wh = wh + 1 WHERE wh % 4 = 1",
        "DELETE FROM daily_by_class WHERE wh % 2 = 1",
    ] {
        rig.run(damage).await;
    }
    assert_ne!(differing(&before, &rows(&rig).await), [""; 0]);
    let calls = (rig.calls(), rig.simulator.service_log().len());
    let mut mended = 0;
    for (meter, dataset) in rig.store.kept_series().await.unwrap() {
        let kept = rig.store.kept(meter, dataset).await.unwrap();
        let replayed = replay(dataset.kind(), &kept, &rig.store.not_kept(meter, dataset).await.unwrap(), None);
        assert_eq!((replayed.answers, &replayed.unreadable), (kept.len(), &vec![]));
        let done = mend(&rig, &kept, &replayed).await;
        assert!(done.lacked > 0 && (done.differed > 0 || dataset.kind() == Kind::MaxPower), "{dataset}: {done:?}");
        assert_eq!(done.surplus, 0, "{dataset}");
        mended += done.differed;
    }
    assert_eq!(differing(&before, &rows(&rig).await), [""; 0]);
    rig.assert_sound().await;
    assert_eq!(rig.rows(revisions.to_owned()).await, [mended.to_string()]);
    assert_eq!((rig.calls(), rig.simulator.service_log().len()), calls);

    // A body that cannot be read is named, and the others are read all the same.
    rig.run("UPDATE raw_answer SET body = 'H4sI' WHERE call = (SELECT min(call) FROM raw_answer)").await;
    let mut unreadable = 0;
    for (meter, dataset) in rig.store.kept_series().await.unwrap() {
        let kept = rig.store.kept(meter, dataset).await.unwrap();
        let replayed = replay(dataset.kind(), &kept, &rig.store.not_kept(meter, dataset).await.unwrap(), None);
        unreadable += replayed.unreadable.len();
        assert_eq!(replayed.answers + replayed.unreadable.len(), kept.len());
        assert!(mend(&rig, &kept, &replayed).await.is_nothing(), "{dataset}");
    }
    assert_eq!(unreadable, 1);
    assert_eq!(differing(&before, &rows(&rig).await), [""; 0]);
}

async fn a_correction_whose_answer_is_lost_is_not_taken_back(on: On) {
    let world = World::new(32).with(MeterSpec::new(prm(METER)));
    let series = [Dataset::ConsumptionLoadCurve];
    let rig = Rig::on(on, world, &series, at("2026-11-20T08:30:00+01:00")).await.since(day("2026-11-10"));
    rig.pass().await;
    let (meter, dataset) = rig.store.kept_series().await.unwrap()[0];
    let earlier = rig.store.kept(meter, dataset).await.unwrap().remove(0);
    rig.next_morning(8, 30);
    rig.pass().await;
    let newest = rig.store.kept(meter, dataset).await.unwrap().pop().unwrap();
    let both = earlier.days.intersect(newest.days).unwrap();
    assert!(both.len() >= 5 && earlier.days.first() < both.first(), "{} and {}", earlier.days, newest.days);

    // What came earlier says something else, as if the newest answer had corrected it.
    let body = String::from_utf8(earlier.raw.unpack().unwrap()).unwrap();
    let other = body.replace("\"v\":\"", "\"v\":\"1").replace("\"value\":\"", "\"value\":\"1");
    let other = Raw::of(earlier.raw.api, earlier.raw.label, other.as_bytes()).body;
    rig.run(&format!("UPDATE raw_answer SET body = '{other}' WHERE call = {}", earlier.call.0)).await;
    let sum = format!("SELECT CAST(sum(watts) AS text) FROM v_load_curve WHERE day >= '{}'", both.first());
    let before = rig.rows(sum.clone()).await;
    let again = async || {
        let kept = rig.store.kept(meter, dataset).await.unwrap();
        let lost = rig.store.not_kept(meter, dataset).await.unwrap();
        let replayed = replay(dataset.kind(), &kept, &lost, None);
        (replayed.left_alone, mend(&rig, &kept, &replayed).await.differed)
    };
    let left = usize::try_from(both.len()).unwrap();
    rig.run(&format!("UPDATE raw_answer SET body = 'H4sI' WHERE call = {}", newest.call.0)).await;
    let (alone, changed) = again().await;
    assert_eq!(alone, left, "it cannot be read");
    assert!(changed > 0, "of the days before, the earlier answer is the last word");
    assert_eq!(rig.rows(sum.clone()).await, before);
    rig.run(&format!("DELETE FROM raw_answer WHERE call = {}", newest.call.0)).await;
    assert_eq!(again().await, (left, 0), "it was not kept");
    assert_eq!(rig.rows(sum).await, before);
}

/// Hands answers on in a form that the decoder does not know.
#[derive(Debug)]
struct Strange(InMemory);

/// What the form calls the list of readings, and what the decoder looks for.
const NAMES: (&str, &str) = ("\"mesures\"", "\"grandeur\"");

#[async_trait]
impl Transport for Strange {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let answer = self.0.send(request).await?;
        let body = String::from_utf8(answer.body).unwrap().replace(NAMES.1, NAMES.0).into_bytes();
        Ok(Response { body, ..answer })
    }
}

async fn an_answer_that_cannot_be_read_is_kept_until_it_can(on: On) {
    let world = World::new(67).with(MeterSpec::new(prm(METER)));
    let datasets = [Dataset::DailyConsumption, Dataset::ConsumptionLoadCurve];
    let mut rig = Rig::on(on, world, &datasets, at("2026-11-24T08:30:00+01:00")).await.since(day("2026-11-18"));
    rig.apis = vec![Api::V2026];
    rig.transport = Some(Arc::new(Strange(InMemory(rig.simulator.clone()))));
    for _ in 0..2 {
        rig.pass().await;
        rig.next_morning(8, 30);
    }
    for dataset in datasets {
        let status = rig.status(&prm(METER), dataset).await;
        assert_eq!((status.state, status.code.as_deref()), (SeriesState::Failing, Some("undecodable")));
        assert_eq!(status.days.get(&DayState::Complete), None, "nothing is known of these days");
    }
    let calls = rig.calls();
    let mut read_later = Vec::new();
    for (meter, dataset) in rig.store.kept_series().await.unwrap() {
        let mut kept = rig.store.kept(meter, dataset).await.unwrap();
        // It came several times a day, and once is enough.
        assert!(kept.len() <= 2 && kept.iter().all(|answer| !answer.was_read), "{kept:?}");
        let replayed = replay(dataset.kind(), &kept, &rig.store.not_kept(meter, dataset).await.unwrap(), None);
        assert_eq!((replayed.unreadable.len(), replayed.left_alone), (kept.len(), 0));
        assert!(mend(&rig, &kept, &replayed).await.is_nothing());
        // A decoder that knows the form.
        for answer in &mut kept {
            let body = String::from_utf8(answer.raw.unpack().unwrap()).unwrap().replace(NAMES.0, NAMES.1);
            answer.raw = Raw::of(answer.raw.api, answer.raw.label, body.as_bytes());
        }
        let replayed = replay(dataset.kind(), &kept, &[], None);
        assert!(mend(&rig, &kept, &replayed).await.lacked > 0);
        read_later.push(dataset);
    }
    assert_eq!((read_later.len(), rig.calls()), (datasets.len(), calls), "no call is spent on it");
    for dataset in datasets {
        let days = Days::new(day("2026-11-18"), day("2026-11-25")).unwrap();
        rig.assert_equals_truth(&prm(METER), dataset, days).await;
    }
    // One that is of the right form and holds no value that can be read is told of as well.
    let (meter, dataset) = rig.store.kept_series().await.unwrap()[0];
    let mut kept = rig.store.kept(meter, dataset).await.unwrap();
    for answer in &mut kept {
        let body = String::from_utf8(answer.raw.unpack().unwrap()).unwrap().replace(NAMES.0, NAMES.1);
        let body = body.replace("\"v\":\"", "\"v\":\"x");
        answer.raw = Raw::of(answer.raw.api, answer.raw.label, body.as_bytes());
    }
    let replayed = replay(dataset.kind(), &kept, &[], None);
    assert!(
        replayed.unreadable.len() == kept.len() && replayed.unreadable[0].why.contains("bad_value"),
        "{replayed:?}"
    );
    // Where no answers are to be kept, this one is not either.
    rig.store.keep_answers(0);
    rig.run("DELETE FROM raw_answer").await;
    rig.next_morning(8, 30);
    rig.pass().await;
    assert_eq!(rig.store.kept_series().await.unwrap(), []);
}
