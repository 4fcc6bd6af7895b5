//! Rows that a broken decoder spoilt, from the answers that were kept.

use linkyd::clock::Clock as _;
use linkyd::domain::{Dataset, Kind};
use linkyd::engine::replay::{differences, replay, restore};
use linkyd::simulator::{MeterKind, MeterSpec, World};
use linkyd::store::Raw;
use linkyd::store::copy::{Chunk, TABLES};

use crate::support::{On, Rig, at, day, on_both_engines, prm};

on_both_engines! {
    a_replay_restores_the_exact_rows_without_a_call,
    a_correction_whose_answer_is_lost_is_not_taken_back,
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
    assert_ne!(rows(&rig).await, before);
    let calls = (rig.calls(), rig.simulator.service_log().len());
    let mut mended = 0;
    for (meter, dataset) in rig.store.kept_series().await.unwrap() {
        let kept = rig.store.kept(meter, dataset).await.unwrap();
        let replayed = replay(dataset.kind(), &kept, &rig.store.not_kept(meter, dataset).await.unwrap(), None);
        assert_eq!((replayed.answers, &replayed.unreadable), (kept.len(), &vec![]));
        let stored = rig.database.readings(&prm(METER), dataset).await.unwrap();
        let foretold = differences(&stored, &replayed.pieces);
        let done = restore(&*rig.store, &kept, replayed.pieces, rig.clock.now().timestamp()).await.unwrap();
        assert_eq!(done, foretold, "{dataset}");
        assert!(done.0 > 0 && (done.1 > 0 || dataset.kind() == Kind::MaxPower), "{dataset}: {done:?}");
        mended += done.1;
    }
    assert_eq!(rows(&rig).await, before);
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
        let done = restore(&*rig.store, &kept, replayed.pieces, rig.clock.now().timestamp()).await.unwrap();
        assert_eq!(done, (0, 0), "{dataset}");
    }
    assert_eq!(unreadable, 1);
    assert_eq!(rows(&rig).await, before);
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
        let left = replayed.left_alone;
        let now = rig.clock.now().timestamp();
        (left, restore(&*rig.store, &kept, replayed.pieces, now).await.unwrap().1)
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
