//! Several real processes on one PostgreSQL, and one of them killed: the database forgets nothing, and what the dead had
//! in the air is taken over.

use std::collections::{BTreeMap, BTreeSet};

use linkyd::domain::Days;
use serde_json::Value;

use crate::cli_rig::{Home, METER, MORNING, Simulated, meter, source, wait_for};
use crate::postgres::{Database, Server};
use crate::support::day;

/// Calls of one instance that may be in the air at once.
pub(crate) const MOST_IN_AIR: usize = 12;

/// A home whose database is on a server, where it goes by that name, for an Enedis that is asked so often.
fn home(database: &Database, name: &str, enedis: &Simulated, (per_second, per_hour): (u32, u32), meters: &str) -> Home {
    let home = Home::empty();
    let mut url = url::Url::parse(&database.url()).unwrap();
    url.query_pairs_mut().append_pair("application_name", name);
    let source = source(&enedis.url, "")
        .replace("requests_per_second = 1000", &format!("requests_per_second = {per_second}"))
        .replace("requests_per_hour = 1000000", &format!("requests_per_hour = {per_hour}"));
    let place = format!("[database]\nurl = \"{url}\"\n");
    home.configure(&format!("{place}{source}"), meters);
    home
}

/// What a call asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) prm: String,
    pub(crate) dataset: String,
    pub(crate) days: Days,
}

impl Asked {
    /// As a line of the simulator's log has it.
    pub(crate) fn of(call: &Value) -> Self {
        let text = |key: &str| call[key].as_str().unwrap().to_owned();
        let days = Days::new(day(&text("start")), day(&text("end"))).unwrap();
        Self { prm: text("prm"), dataset: text("dataset"), days }
    }
}

/// The calls of those who died: they were entered into the journal, and nobody was left to enter their ends.
pub(crate) async fn lost(database: &Database) -> Vec<Asked> {
    let open = "SELECT prm, dataset, start_day::text, end_day::text FROM v_call
                WHERE status IS NULL AND error_code IS NULL";
    let mut conn = database.connect().await;
    let lines: Vec<(String, String, String, String)> = sqlx::query_as(open).fetch_all(&mut conn).await.unwrap();
    let asked = |(prm, dataset, first, end): (String, String, String, String)| {
        let days = Days::new(day(&first), day(&end)).unwrap();
        Asked { prm, dataset, days }
    };
    lines.into_iter().map(asked).collect()
}

/// Each day of each series was asked for once, and once more for each call about it that was lost.
#[track_caller]
pub(crate) fn assert_only_lost_days_were_asked_for_again(asked: &[Asked], lost: &[Asked]) {
    let count = |calls: &[Asked]| {
        let mut days = BTreeMap::<_, usize>::new();
        for call in calls {
            for day in call.days.iter() {
                *days.entry((call.prm.clone(), call.dataset.clone(), day)).or_default() += 1;
            }
        }
        days
    };
    let lost = count(lost);
    for (day, times) in count(asked) {
        let allowed = 1 + lost.get(&day).copied().unwrap_or_default();
        assert!(times <= allowed, "{day:?} was asked for {times} times instead of {allowed}");
    }
}

/// How many calls of a log asked for what another one had asked for already.
fn asked_twice(calls: &[Value]) -> usize {
    let spans: BTreeSet<String> = calls
        .iter()
        .map(|call| format!("{} {} {} {}", call["prm"], call["dataset"], call["start"], call["end"]))
        .collect();
    calls.len() - spans.len()
}

/// Real processes: four commands share the meter's history, and one of them is killed in the midst.
#[test]
fn a_process_that_is_killed_leaves_nothing_behind() {
    let database = block_on(Server::shared().database());
    let folder = crate::cli_rig::folder();
    let enedis = Simulated::start(folder.path(), &["--no-limits", "--latency-ms", "100"]);
    // Slow enough that all have a share.
    let home = home(&database, "all", &enedis, (20, 1_000_000), &meter("since = 2026-01-01"));
    let mut instances: Vec<_> = (0..4).map(|_| home.start(&["sync", "--at", MORNING])).collect();
    wait_for("some calls of all", || (enedis.calls().len() >= 30).then_some(()));
    let mut killed = instances.remove(1);
    killed.kill();
    assert_eq!(killed.code(), None);
    // A lease lasts for a minute of the server's; here it is over after three seconds, and whoever waits is told.
    let over = "UPDATE series SET held_until_ms = 0, seen = seen + 1
                WHERE held_until_ms BETWEEN 1 AND extract(epoch FROM clock_timestamp()) * 1000 + 57000";
    let mut looks = 0_u32;
    wait_for("the end of the others", || {
        looks += 1;
        if looks.is_multiple_of(100) {
            block_on(database.run(over));
        }
        instances.iter_mut().all(|instance| instance.0.try_wait().unwrap().is_some()).then_some(())
    });
    for instance in &mut instances {
        assert_eq!(instance.code(), Some(0));
    }
    home.assert_whole();
    let lost = block_on(lost(&database));
    assert!(lost.len() <= MOST_IN_AIR, "{lost:?}");
    let asked: Vec<Asked> = enedis.calls().iter().map(Asked::of).collect();
    assert_only_lost_days_were_asked_for_again(&asked, &lost);
    let status = home.run(&["status", "--json", "--at", MORNING]).exits(0).json();
    let datasets = status["meters"][0]["datasets"].as_array().unwrap();
    assert!(datasets.len() == 5 && datasets.iter().all(|d| d["gaps"] == 0), "{status}");
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], 0, "and nothing is left to do");
}

/// Two processes before an Enedis that refuses what is too much: no second and no hour holds more than all may
/// have together, although one of them is killed with calls in the air.
#[test]
fn two_processes_share_one_pace_and_one_budget_and_one_of_them_is_killed() {
    const PER_HOUR: u32 = 40;
    const CALLERS: &str = "SELECT count(*) FROM (SELECT name FROM caller GROUP BY name HAVING count(*) >= 3) callers";
    let database = block_on(Server::shared().database());
    // A line of the journal says nothing of who wrote it; that is noted beside it.
    block_on(database.run(
        "CREATE TABLE caller (name text);
         CREATE FUNCTION note_caller() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO caller VALUES (current_setting('application_name'));
             RETURN NULL;
         END $$;
         CREATE TRIGGER note_caller AFTER INSERT ON call
         FOR EACH ROW WHEN (NEW.meter IS NOT NULL) EXECUTE FUNCTION note_caller()",
    ));
    let folder = crate::cli_rig::folder();
    let world = folder.path().join("world.toml");
    std::fs::write(&world, "[rules]\nany_prm = true\n[rules.limits]\nper_second = 5\nper_hour_2026 = 40\n").unwrap();
    let enedis = Simulated::start(folder.path(), &["--world", world.to_str().unwrap(), "--latency-ms", "300"]);
    // Each of them would be within the limit by itself, with room for a machine that is busy; both together would not.
    // There are meters enough to go on with while those of the dead are still held.
    let meters: String = (10..40)
        .map(|n| {
            meter("since = 2026-11-01")
                .replace(METER, &format!("12345678901{n}1"))
                .replace("Maison", &format!("Maison {n}"))
        })
        .collect();
    let homes = ["first", "second"].map(|name| home(&database, name, &enedis, (4, PER_HOUR), &meters));
    let [mut first, mut second] = homes.each_ref().map(|home| home.start(&["sync", "--at", MORNING]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut conn = runtime.block_on(database.connect());
    wait_for("a share of both", || {
        let both = sqlx::query_scalar::<_, i64>(CALLERS).fetch_one(&mut conn);
        (runtime.block_on(both).unwrap() == 2).then_some(())
    });
    first.kill();
    assert_eq!((first.code(), second.code()), (None, Some(75)), "the other one spends what is left of the hour");
    homes[1].assert_whole();
    let calls = enedis.calls();
    assert!(calls.iter().all(|call| call["status"] == 200 || call["status"] == 0), "{calls:?}");
    assert!(asked_twice(&calls) == 0, "{calls:?}");
    // A line of the journal for each call, also for those that the dead had in the air and for tokens.
    let lines = "SELECT at_ms FROM call ORDER BY at_ms";
    let at: Vec<i64> = block_on(async {
        let mut conn = database.connect().await;
        sqlx::query_scalar(lines).fetch_all(&mut conn).await.unwrap()
    });
    assert_eq!(at.len(), PER_HOUR as usize, "the hour is spent to the last call, and no further");
    assert!(at.windows(5).all(|calls| calls[4] - calls[0] >= 1_000), "{at:?}");
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
