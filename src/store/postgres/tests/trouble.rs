//! Lost connections, lost answers, servers that take no writes, callers that go away: nothing is
//! done twice, nothing is left half done.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::failover::Then;
use super::proxy::Proxy;
use super::*;
use crate::store::copy::{Bulk, Cells, Chunk, TABLES, Written};
use crate::store::postgres::errors::{self, Fault};
use crate::store::postgres::ledger::{self, Decided};
use crate::store::postgres::transaction::{Kind, Patience};
use crate::store::{Effect, SourceState, Store, StoreError};

/// Everything that is stored, but for the numbers of lines: a transaction that was rolled back leaves
/// gaps in them, which mean nothing.
const ALL: &str = "SELECT string_agg(x, E'\\n' ORDER BY x) FROM (
    SELECT 'l' || l::text AS x FROM load_curve l UNION ALL SELECT 'v' || v::text FROM coverage v
    UNION ALL SELECT 'r' || (to_jsonb(r) - 'id')::text FROM revision r UNION ALL SELECT 'c' || (to_jsonb(c) - 'id')::text FROM call c
    UNION ALL SELECT 's' || s::text FROM series s UNION ALL SELECT 'a' || a::text FROM account a) rows";

/// A little life of a store; `disturb` runs before each step.
async fn live(store: &PostgresStore, disturb: impl Fn()) -> Vec<String> {
    let span = days("2026-11-17", "2026-11-24");
    let mut told = Vec::new();
    let mut renewed = setup(1);
    renewed.sources[0].credentials = "other".into();
    disturb();
    told.push(format!("{:?}", store.set_up(&renewed).await.unwrap()));
    let mut seen = 0;
    for watts in [5, 6] {
        disturb();
        let reserved = store.reserve(&call(CURVE, span, Some(seen)), &LIMITS, NOW * 1000).await.unwrap();
        let Reserved::Go { call: line, at_ms, lease } = reserved else { panic!("{reserved:?}") };
        told.push(format!("{at_ms} {}", lease == Some(line)));
        let lease = Some(Lease { token: line, keep: false });
        disturb();
        let done = store.commit(answer(line, lease, CURVE, span, curve(span, watts))).await.unwrap();
        seen = done.seen;
        told.push(format!("{done:?}"));
    }
    disturb();
    let (line, _) = reserve(store, &call(CURVE, span, Some(seen))).await;
    let end = CallEnd {
        call: line,
        lease: Some(Lease { token: line, keep: false }),
        status: Some(429),
        code: Some("http-429".into()),
        duration_ms: 7,
    };
    let state = SourceState { not_before_ms: Some(NOW * 1000 + 60_000), refusals: 1, ..SourceState::default() };
    disturb();
    told.push(format!("{:?}", store.settle(end, vec![Effect::Source { source: SOURCE, state }]).await.unwrap()));
    disturb();
    told.push(format!("{:?}", store.resume("enedis").await.unwrap()));
    told
}

#[tokio::test]
async fn what_was_not_confirmed_is_done_once() {
    let undisturbed = Rig::new().await;
    let told = live(&undisturbed.store, || ()).await;
    let stored = undisturbed.one(ALL).await;
    assert!(told[0].contains("enedis"), "{told:?}");
    for before in [false, true] {
        let rig = Rig::new().await;
        let proxy = Proxy::to(&rig.database.url());
        let store = open(&proxy.url(&rig.database.url()), Mode::Write, &rig.clock).await;
        let disturb = || if before { proxy.lose_a_commit() } else { proxy.lose_an_answer() };
        let disturbed = live(&store, disturb).await;
        assert_eq!(proxy.gone.load(Ordering::SeqCst), 8, "each step was disturbed");
        assert_eq!(disturbed, told);
        assert_eq!(rig.one(ALL).await, stored);
    }
}

/// A reservation that was committed long ago, as turns out when the server is back, would be made at
/// once and come too close to others.
#[tokio::test]
async fn a_reservation_that_is_late_gets_a_new_start() {
    let rig = Rig::new().await;
    let wanted = call(CURVE, days("2026-11-17", "2026-11-24"), Some(0));
    let Reserved::Go { call: line, at_ms: at, lease } = rig.store.reserve(&wanted, &LIMITS, NOW * 1000).await.unwrap()
    else {
        panic!("nothing limits it")
    };
    let first = Decided::Written { call: line, at, lease };
    let again = |late_ms: i64| {
        let input = (Arc::clone(&rig.store.skew), wanted.clone(), first, NOW * 1000 + late_ms);
        rig.store.server.run(Kind::Write, Patience::None, input, |link, (skew, wanted, first, now), _| {
            Box::pin(ledger::reserve(link, skew, wanted, &LIMITS, *now, Some(first)))
        })
    };
    assert_eq!(again(500).await.unwrap(), first);
    let later = again(9_000).await.unwrap();
    let Decided::Written { call: line, at, lease } = later else { panic!("{later:?}") };
    assert_eq!((at, lease), (NOW * 1000 + 9_000, Some(line)));
    assert_eq!(rig.column("SELECT id::text FROM call").await, [line.0.to_string()]);
}

/// The way to a server is measured anew with each connection, so by the time an answer was lost the
/// same instant may have another number on the machine.
#[tokio::test]
async fn a_reservation_is_found_again_whatever_the_clocks_show_by_then() {
    let rig = Rig::new().await;
    let proxy = Proxy::to(&rig.database.url());
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&rig.clock);
    let address = Address::parse(&proxy.url(&rig.database.url()), None).unwrap();
    let store = PostgresStore::open(address, Mode::Write, TimeOf::Server, clock).await.unwrap();
    let before = store.clock_ahead_ms();
    let wanted = call(CURVE, days("2026-11-17", "2026-11-24"), Some(0));
    proxy.lose_an_answer();
    // So far that no measurement comes to the same by chance.
    rig.clock.step_to(rig.clock.now() + chrono::TimeDelta::hours(3));
    let reserved = store.reserve(&wanted, &LIMITS, NOW * 1000).await.unwrap();
    assert_eq!(proxy.gone.load(Ordering::SeqCst), 1);
    assert_ne!(store.clock_ahead_ms(), before, "it was measured again");
    let Reserved::Go { call: line, at_ms, lease } = reserved else { panic!("{reserved:?}") };
    assert_eq!(lease, Some(line));
    let stored = format!("{} {}", line.0, at_ms + store.clock_ahead_ms());
    assert_eq!(rig.column("SELECT id || ' ' || at_ms FROM call").await, [stored]);
}

/// Comes back once somebody waits for a lock of another.
async fn when_somebody_waits(rig: &Rig) {
    let waiting = "SELECT count(*)::text FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..20_000 {
        if rig.one(waiting).await != "0" {
            return;
        }
    }
    panic!("nobody waits for another");
}

/// Lets the server have a `COMMIT` that was held back once the next attempt waits for it.
async fn deliver_when_waited_for(rig: &Rig, proxy: &Proxy) {
    when_somebody_waits(rig).await;
    proxy.deliver();
}

/// What others put into the table without a word to the series, as `linkyd db copy` does, is compared
/// like all that is stored: also where it comes while the answer's rows are on their way.
#[tokio::test]
async fn rows_of_others_are_compared_whatever_the_day_records_say() {
    let span = days("2026-11-17", "2026-11-24");
    let first = paris::start_of(span.first());
    for meanwhile in [false, true] {
        let rig = Rig::new().await;
        let known = rig.store.series_facts(&[(METER, CURVE)], 0).await.unwrap().series[0].seen;
        let (line, lease) = reserve(&rig.store, &call(CURVE, span, Some(known))).await;
        let lease = lease.map(|token| Lease { token, keep: false });
        rig.database.run("INSERT INTO interval_kind (id, minutes, summer, source) VALUES (7, 30, 0, 1)").await;
        let other = format!("INSERT INTO load_curve VALUES (to_timestamp({first}), {}, 123, 0, 7)", METER.0);
        let committed = rig.store.commit(answer(line, lease, CURVE, span, curve(span, 5)));
        let done = if meanwhile {
            let mut conn = rig.database.connect().await;
            let mut other_side = conn.begin().await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(other)).execute(&mut *other_side).await.unwrap();
            let end = async {
                when_somebody_waits(&rig).await;
                other_side.commit().await.unwrap();
            };
            tokio::join!(committed, end).0
        } else {
            rig.database.run(&other).await;
            committed.await
        };
        let done = done.unwrap();
        assert_eq!((done.inserted, done.changed), (335, 1), "meanwhile: {meanwhile}");
        assert_eq!(rig.column("SELECT old_value || ' ' || new_value FROM revision").await, ["123 5"]);
        assert_eq!(rig.one("SELECT count(*)::text FROM load_curve WHERE watts = 5").await, "336");
    }
}

/// The next attempt begins while the one before is still at its `COMMIT`, and finds out all the same.
#[tokio::test]
async fn what_is_committed_late_is_done_once() {
    let rig = Rig::new().await;
    let proxy = Proxy::to(&rig.database.url());
    let store = open(&proxy.url(&rig.database.url()), Mode::Write, &rig.clock).await;
    let deliver = async || deliver_when_waited_for(&rig, &proxy).await;
    let span = days("2026-11-17", "2026-11-24");
    let known = rig.store.series_facts(&[(METER, CURVE)], 0).await.unwrap().series[0].seen;

    proxy.hold_a_commit();
    let asked = call(CURVE, span, Some(known));
    let ((line, lease), ()) = tokio::join!(reserve(&store, &asked), deliver());
    assert_eq!(lease, Some(line));
    assert_eq!(rig.one("SELECT count(*)::text FROM call").await, "1");

    proxy.hold_a_commit();
    let lease = Some(Lease { token: line, keep: false });
    let (done, ()) = tokio::join!(store.commit(answer(line, lease, CURVE, span, curve(span, 5))), deliver());
    let done = done.unwrap();
    assert_eq!((done.inserted, done.seen), (336, known + 1));

    let (line, _) = reserve(&store, &call(CURVE, span, Some(done.seen))).await;
    let lease = Some(Lease { token: line, keep: false });
    let end = CallEnd { call: line, lease, status: Some(503), code: Some("http-503".into()), duration_ms: 7 };
    proxy.hold_a_commit();
    let (seen, ()) = tokio::join!(store.settle(end, Vec::new()), deliver());
    assert_eq!(seen.unwrap(), known + 2);
    assert_eq!(proxy.gone.load(Ordering::SeqCst), 3);
}

/// The same for whole tables: what came late meets itself, and is no news.
#[tokio::test]
async fn rows_that_are_copied_late_are_there_once() {
    let rig = Rig::new().await;
    let proxy = Proxy::to(&rig.database.url());
    let store = open(&proxy.url(&rig.database.url()), Mode::Write, &rig.clock).await;
    let table = TABLES.iter().find(|table| table.name == "activation").unwrap();
    let column = |values: [i64; 2]| Cells::Numbers(values.map(Some).into());
    let columns = [[1, 1], [0, 1], [20_000, 20_001], [20_100, 20_101], [3, 4]].map(column).into();
    proxy.hold_a_commit();
    let written = Bulk::write(&store, Chunk { table, rows: 2, columns });
    let (written, ()) = tokio::join!(written, deliver_when_waited_for(&rig, &proxy));
    assert_eq!(written.unwrap(), Written { inserted: 2, changed: 0 });
    assert_eq!(proxy.gone.load(Ordering::SeqCst), 1);
    assert_eq!(rig.one("SELECT count(*)::text FROM activation").await, "2");
}

/// Inserting straight into the rest what belongs to a year is what a reading meets that waits there while the
/// partition is attached.
#[tokio::test]
async fn a_row_that_a_new_partition_takes_is_tried_again_and_a_wrong_one_is_not() {
    let rig = Rig::new().await;
    let fault = async |statement: &'static str| {
        errors::fault(&sqlx::raw_sql(statement).execute(&mut rig.database.connect().await).await.unwrap_err())
    };
    let late = "INSERT INTO load_curve_rest (start, meter, watts, direction, kind) VALUES ('2026-05-01', 1, 5, 0, 0)";
    assert_eq!(fault(late).await, Fault::Conflict);
    assert_eq!(fault("INSERT INTO schema_version VALUES (2, 1)").await, Fault::Final);
}

#[tokio::test]
async fn transactions_that_write_are_durable_whatever_the_server_thinks() {
    let rig = Rig::new().await;
    let name = rig.database.name().to_owned();
    for (set, found) in [("off", "on"), ("local", "local")] {
        rig.database.run(&format!("ALTER DATABASE {name} SET synchronous_commit = {set}")).await;
        let store = rig.other().await;
        let shown = store.server.run(Kind::Write, Patience::None, (), |link, (), _| {
            Box::pin(async {
                let show = sqlx::raw_sql("SHOW synchronous_commit").fetch_one(&mut link.conn).await?;
                Ok(show.try_get::<String, _>(0)?)
            })
        });
        assert_eq!(shown.await.unwrap(), found);
    }
}

#[tokio::test]
async fn connections_that_the_server_ended_are_made_anew() {
    let rig = Rig::new().await;
    for _ in 0..3 {
        rig.column(
            "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        assert_eq!(rig.store.status().await.unwrap().len(), 3);
        reserve(&rig.store, &call(DAILY, days("2026-11-17", "2026-11-24"), None)).await;
    }
    assert_eq!(rig.one("SELECT count(*)::text FROM call").await, "3");
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_waited_for_and_then_named() {
    let rig = Rig::new().await;
    let name = rig.database.name().to_owned();
    rig.database.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let store = rig.other().await;
    let before = rig.clock.monotonic();
    let error = store.set_up(&setup(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
    let waited = rig.clock.monotonic().checked_sub(before).unwrap();
    assert!((120..300).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(store.status().await.unwrap().len(), 3);
    assert!(store.examine().await.unwrap().read_only);
}

/// Who looks at a status is not tried again by anybody.
#[tokio::test]
async fn trouble_that_passes_says_who_tries_again() {
    let rig = Rig::new().await;
    for (code, why) in [
        ("40P01", "others were in the way"),
        ("57014", "or somebody cancelled it"),
        ("25006", "takes no writes"),
        ("57P01", "ended the connection"),
    ] {
        let mut conn = rig.database.connect().await;
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$");
        let error = sqlx::raw_sql(AssertSqlSafe(raise)).execute(&mut conn).await.unwrap_err();
        let told = errors::explain("here", StoreError::Database(error)).to_string();
        assert!(told.contains(why) && told.contains("run any other command again"), "{told}");
    }
}

/// What a server does not finish in time it would not finish at the twentieth try either.
#[tokio::test]
async fn a_server_that_is_too_slow_is_asked_a_few_times_and_then_named() {
    let rig = Rig::new().await;
    rig.database
        .run(
            "CREATE SEQUENCE tries;
             CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM nextval('tries');
                 RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014';
             END $$;
             CREATE TRIGGER slow BEFORE INSERT ON call EXECUTE FUNCTION slow()",
        )
        .await;
    let wanted = call(CURVE, days("2026-11-17", "2026-11-24"), None);
    let error = rig.store.reserve(&wanted, &LIMITS, NOW * 1000).await.unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    assert!(error.to_string().contains("keeps the server busy"), "{error}");
    assert_eq!(rig.one("SELECT last_value::text FROM tries").await, "3");
}

#[tokio::test]
async fn a_pass_waits_for_a_server_that_is_away_and_who_looks_on_is_told() {
    let server = Server::own();
    let database = server.database().await;
    for read in [0, 1, 2, 3] {
        let clock = Then::new(12, || server.start());
        let store = Arc::new(open(&database.url(), Mode::Write, &clock).await);
        store.set_up(&setup(1)).await.unwrap();
        let patient = Arc::clone(&store).patient();
        let look = async |store: &dyn Store| match read {
            0 => store.status().await.map(|lines| lines.len()),
            1 => store.sources().await.map(|sources| sources.len() * 3),
            2 => store.spent("enedis", Pool::Live, NOW * 1000).await.map(|_| 3),
            _ => store.customers().await.map(|lines| lines.len() + 3),
        };
        server.stop();
        let error = look(&*store).await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
        let told = clock.monotonic();
        assert!(told < Duration::from_secs(8), "{told:?}");
        assert_eq!(look(&*patient).await.unwrap(), 3, "{read}");
        assert!(clock.done.load(Ordering::SeqCst));
    }
}

/// Whoever waits for a transaction may go at any moment: it ends all the same, and no connection
/// stays inside one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_leave_a_transaction_open() {
    let rig = Rig::new().await;
    let store = Arc::new(rig.other().await);
    let span = days("2026-11-17", "2026-11-24");
    for turn in 0..100 {
        let shared = Arc::clone(&store);
        let task = tokio::spawn(async move {
            let (line, _) = reserve(&shared, &call(CURVE, span, None)).await;
            shared.commit(answer(line, None, CURVE, span, curve(span, turn))).await
        });
        for _ in 0..(turn % 40) {
            tokio::task::yield_now().await;
        }
        task.abort();
        let _ = task.await;
    }
    // Those that were on their way end before these four can begin.
    let mut last = Vec::new();
    for _ in 0..4 {
        let shared = Arc::clone(&store);
        last.push(tokio::spawn(async move { shared.status().await.unwrap() }));
    }
    for task in last {
        task.await.unwrap();
    }
    let stuck = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database()
                 AND state LIKE 'idle in transaction%' AND state_change < now() - interval '1 second'";
    assert_eq!(rig.one(stuck).await, "0");
    assert_eq!(rig.store.check().await.unwrap(), []);
}

/// By the server's clock, whatever the machine's shows.
#[tokio::test]
async fn instances_with_wrong_clocks_count_by_the_servers() {
    let rig = Rig::new().await;
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&rig.clock);
    let address = Address::parse(&rig.database.url(), None).unwrap();
    let store = PostgresStore::open(address, Mode::Write, TimeOf::Server, clock).await.unwrap();
    let ahead = store.clock_ahead_ms();
    let span = days("2026-11-17", "2026-11-24");
    let reserved = store.reserve(&call(DAILY, span, None), &LIMITS, NOW * 1000).await.unwrap();
    let Reserved::Go { at_ms, .. } = reserved else { panic!("{reserved:?}") };
    assert!((at_ms - NOW * 1000).abs() < 20_000, "the caller sees its own time");
    let line: i64 = rig.one("SELECT at_ms::text FROM call").await.parse().unwrap();
    assert_eq!(line, at_ms + ahead, "the journal has the server's");
    let rest = SourceState { not_before_ms: Some(NOW * 1000 + 60_000), ..SourceState::default() };
    store.apply(vec![Effect::Source { source: SOURCE, state: rest.clone() }]).await.unwrap();
    assert_eq!(store.sources().await.unwrap()[0].state, rest);
    let resting = store.reserve(&call(DAILY, span, None), &LIMITS, NOW * 1000).await.unwrap();
    assert_eq!(resting, Reserved::Rests(NOW * 1000 + 60_000));
    // After a failover the connections are new, and the clock may be another one.
    let shift = chrono::TimeDelta::hours(3);
    rig.clock.step_to(rig.clock.now() + shift);
    store.server.forget();
    store.sources().await.unwrap();
    assert!((ahead - store.clock_ahead_ms() - shift.num_milliseconds()).abs() < 20_000);
}
