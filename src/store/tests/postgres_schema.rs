//! The schema of PostgreSQL on its own: what serves its views, what must not change them, and the
//! partitions of its load curves.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::server::{Database, Server};

/// Sixty meters that consume, three of which produce too: two years of days, two weeks of half-hours.
const FILL: &str = "
    INSERT INTO account (key) VALUES ('x');
    INSERT INTO source (account, configured, direct, name, kind, credentials)
        VALUES (1, true, true, 'enedis', 'enedis', 'c');
    INSERT INTO meter (source, position, configured, prm, name)
        SELECT 1, n, true, lpad(n::text, 14, '0'), 'm' || n FROM generate_series(1, 60) n;
    INSERT INTO calendar (day, starts_at, minutes)
        SELECT d::date, d AT TIME ZONE 'Europe/Paris', extract(epoch FROM
            ((d + interval '1 day') AT TIME ZONE 'Europe/Paris') - (d AT TIME ZONE 'Europe/Paris'))::int4 / 60
        FROM generate_series(timestamp '2024-11-09', '2026-12-01', '1 day') d;
    INSERT INTO clock_hour
        SELECT generate_series(min(starts_at), max(starts_at) + interval '1 day', '1 hour') FROM calendar;
    INSERT INTO interval_kind (id, minutes, summer, source) VALUES (0, 30, 0, 1), (1, 30, 1, 1);
    INSERT INTO series (meter, dataset, source, position, configured, first_day, end_day, step)
        SELECT m.id, d.id, 1, 0, true, '2024-11-09', '2026-11-25', CASE WHEN d.curve THEN 30 END
        FROM meter m, dataset d WHERE d.direction = 0 OR m.id < 4;
    INSERT INTO coverage (meter, dataset, day, state, stored, checked_at)
        SELECT s.meter, s.dataset, c.day, CASE WHEN c.day = '2026-11-24' THEN 3 WHEN c.day < '2024-12-01' THEN 1 ELSE 0 END,
            1, '2026-11-24 07:03:00+00'
        FROM series s, calendar c WHERE c.day < s.end_day;
    INSERT INTO daily_energy (meter, direction, day, wh, source)
        SELECT v.meter, v.dataset - 3, v.day, 9000 + v.meter, 1 FROM coverage v WHERE v.dataset IN (3, 4) AND v.state = 0;
    INSERT INTO max_power (meter, day, va, at, local_seconds, source)
        SELECT v.meter, v.day, 3000, c.starts_at + interval '1 hour', 3600, 1
        FROM coverage v JOIN calendar c ON c.day = v.day WHERE v.dataset = 5 AND v.state = 0;
    INSERT INTO load_curve (meter, direction, start, watts, kind)
        SELECT s.meter, s.dataset - 1, h, 100 + s.meter, CASE WHEN h < '2026-10-25 01:00+00' THEN 1 ELSE 0 END
        FROM series s, generate_series(timestamptz '2026-10-20 22:00+00', '2026-11-02 22:30+00', '30 min') h
        WHERE s.dataset < 3;
    INSERT INTO call (at_ms, asked_at, account, source, meter, start_day, end_day, pool, dataset, outcome)
        SELECT 1790000000123 + 60000 * m, 1790000000 + 60 * m, 1, 1, 1 + m % 60, '2026-10-01', '2026-10-08', 0, 1, m % 2
        FROM generate_series(1, 5000) m;
    INSERT INTO revision (meter, dataset, start, seen_at, minutes, old_value, new_value, old_source)
        SELECT 1 + m % 60, 1, '2026-10-20 22:00+00', '2026-11-24 07:03:00+00', 30, 1, m, 1 FROM generate_series(1, 5000) m;
    INSERT INTO daily_by_class (meter, direction, day, calendar, tariff_class, wh)
        SELECT e.meter, e.direction, e.day, 'F', 'BASE', e.wh FROM daily_energy e;
    INSERT INTO register_reading (meter, direction, calendar, register, tariff_class, read_at, wh, source)
        SELECT e.meter, e.direction, 'F', '1', 'BASE', c.starts_at, e.wh, 1 FROM daily_energy e JOIN calendar c USING (day);
    INSERT INTO contract (meter, direction, valid_from, subscribed_va, activated_on)
        VALUES (1, 0, '2024-01-01', 6000, '2020-02-29');
    INSERT INTO consent (meter, until) VALUES (1, '2027-03-28 01:00+00');
    INSERT INTO last_pass (id, at, end_day) VALUES (1, 1790000000, '2026-11-25');
    ANALYZE";

async fn text(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(conn).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.try_get::<Option<String>, _>(0).unwrap().unwrap_or_default()).collect()
}

async fn run(conn: &mut PgConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn filled() -> Database {
    let database = Server::shared().database().await;
    database.run(FILL).await;
    database
}

/// What a query really touched, a line a step of the plan. What was never executed is left out.
async fn steps(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    let plan = text(conn, &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}")).await;
    plan.into_iter().filter(|line| !line.contains("never executed")).collect()
}

#[tokio::test]
async fn ranges_in_the_views_are_served_by_keys_of_the_years_asked_for() {
    let database = filled().await;
    let mut conn = database.connect().await;
    let at = "starts_at >= '2026-10-20 00:00+00' AND starts_at < '2026-11-01 00:00+00'";
    let day = "day BETWEEN '2026-10-20' AND '2026-10-31'";
    let called = "called_at >= '2026-09-22 00:00+00' AND called_at < '2026-09-23 00:00+00'";
    for (view, range, keys) in [
        ("v_load_curve", at, &["load_curve_2026_pkey"][..]),
        ("v_hourly", at, &["load_curve_2026_pkey", "clock_hour_pkey"]),
        ("v_daily", day, &["load_curve_2026_pkey", "daily_energy_pkey", "max_power_pkey", "coverage_pkey"]),
        ("v_coverage", day, &["coverage_pkey"]),
        ("v_reconciliation", day, &["load_curve_2026_pkey", "daily_energy_pkey", "coverage_pkey"]),
        ("v_daily_by_class", day, &["daily_by_class_pkey"]),
        ("v_gap", "true", &["coverage_open"]),
        ("v_freshness", "true", &["coverage_pkey"]),
        ("v_index", "true", &["register_reading_pkey"]),
        ("v_revision", "true", &["revision_by_meter"]),
        ("v_call", called, &["call_by_meter"]),
    ] {
        for meter in ["prm = '00000000000002'", "meter = 'm2'"] {
            if meter.starts_with("meter") && ["v_call", "v_revision"].contains(&view) {
                continue;
            }
            let steps = steps(&mut conn, &format!("SELECT * FROM {view} WHERE {meter} AND {range}")).await;
            let plan = steps.join("\n");
            for key in keys {
                assert!(plan.contains(key), "{view}: {key} is not used\n{plan}");
            }
            for step in &steps {
                let scanned = step.split("Seq Scan on ").nth(1).and_then(|rest| rest.split(' ').next());
                // Only what has a row a day, or less, may be walked.
                let small = [
                    "direction",
                    "dataset",
                    "interval_kind",
                    "source",
                    "day_state",
                    "series_state",
                    "series",
                    "calendar",
                    "last_pass",
                    "contract",
                    "consent",
                    "activation",
                    "meter",
                ];
                assert!(scanned.is_none_or(|table| small.contains(&table)), "{view}: {step}\n{plan}");
                assert!(
                    !step.contains("load_curve_2025") && !step.contains("load_curve_rest"),
                    "{view}: {step}\n{plan}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_day_costs_no_curve_where_none_is_asked_for() {
    let database = filled().await;
    let mut conn = database.connect().await;
    let plan = text(&mut conn, "EXPLAIN SELECT day, consumption_wh FROM v_daily WHERE meter = 'm2'").await;
    assert!(!plan.join("\n").contains("load_curve"));
}

#[tokio::test]
async fn no_setting_of_a_session_changes_what_views_show() {
    let database = filled().await;
    let mut odd = database.connect().await;
    run(&mut odd, "SET TimeZone = 'Pacific/Apia'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'")
        .await;
    assert_eq!(text(&mut odd, "SHOW TimeZone").await, ["Pacific/Apia"]);
    let views = text(&mut odd, "SELECT viewname::text FROM pg_views WHERE viewname LIKE 'v\\_%'").await;
    assert_eq!(views.len(), 14);
    for view in &views {
        run(&mut odd, &format!("CREATE TEMP TABLE odd_{view} AS SELECT * FROM {view}")).await;
    }
    run(&mut odd, "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'").await;
    for view in &views {
        let rows = |from: &str| format!("SELECT t::text FROM {from} t ORDER BY 1");
        let plain = text(&mut odd, &rows(view)).await;
        assert!(!plain.is_empty(), "{view} shows something");
        assert!(text(&mut odd, &rows(&format!("odd_{view}"))).await == plain, "{view}");
    }
    // A day of 25 hours, by its wall clock.
    let change = text(
        &mut odd,
        "SELECT starts_at || ' ' || starts_local || ' ' || day FROM v_hourly
         WHERE meter = 'm2' AND direction = 'production' AND day = '2026-10-25' ORDER BY starts_at",
    )
    .await;
    assert_eq!(change.len(), 25);
    assert_eq!(change[2], "2026-10-25 00:00:00+00 2026-10-25 02:00:00 2026-10-25");
    assert_eq!(change[3], "2026-10-25 01:00:00+00 2026-10-25 02:00:00 2026-10-25");
}

#[tokio::test]
async fn a_schema_of_its_own_holds_everything() {
    let database = Server::shared().empty_database().await;
    let mut conn = database.connect().await;
    for schema in ["\"Meters of mine\"", "public"] {
        run(&mut conn, &format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path = {schema}, public")).await;
        run(&mut conn, include_str!("../../../migrations/postgres/0001_start.sql")).await;
        run(&mut conn, FILL).await;
        assert_eq!(text(&mut conn, "SELECT load_curve_years(2031, 2033)::text").await, ["2"]);
        run(&mut conn, "INSERT INTO load_curve VALUES ('2033-05-01 00:00+00', 1, 7, 0, 0)").await;
        assert_eq!(
            text(&mut conn, "SELECT tableoid::regclass::text FROM load_curve WHERE watts = 7").await,
            ["load_curve_2033"]
        );
    }
    let counts = "SELECT string_agg(n, ',' ORDER BY n) FROM (
        SELECT nspname || count(*) AS n FROM pg_class c JOIN pg_namespace s ON s.oid = relnamespace
        WHERE nspname IN ('public', 'Meters of mine') GROUP BY nspname) x";
    let counts = text(&mut conn, counts).await.remove(0);
    let numbers: Vec<&str> = counts.split(',').map(|n| n.trim_start_matches(|c: char| !c.is_ascii_digit())).collect();
    assert_eq!(numbers[0], numbers[1], "{counts}");
    run(&mut conn, "DROP SCHEMA public CASCADE; SET search_path = \"Meters of mine\"").await;
    assert_ne!(text(&mut conn, "SELECT count(*)::text FROM v_load_curve").await, ["0"]);
}

#[tokio::test]
async fn readings_of_other_years_wait_in_the_rest_for_their_partition() {
    let database = Server::shared().database().await;
    let mut conn = database.connect().await;
    run(
        &mut conn,
        "INSERT INTO load_curve (start, meter, watts, direction, kind)
         SELECT s, 1, 5, 0, 0 FROM generate_series(timestamptz '2033-12-31 23:00+00', '2034-01-01 00:30+00', '30 min') s",
    )
    .await;
    let places = "SELECT tableoid::regclass || ' ' || count(*) FROM load_curve GROUP BY tableoid ORDER BY 1";
    assert_eq!(text(&mut conn, places).await, ["load_curve_rest 4"]);
    assert_eq!(text(&mut conn, "SELECT load_curve_years(2030, 2034)::text").await, ["3"]);
    assert_eq!(text(&mut conn, places).await, ["load_curve_2033 2", "load_curve_2034 2"]);
    assert_eq!(text(&mut conn, "SELECT load_curve_years(2030, 2034)::text").await, ["0"]);
    // The key of a partition is that of the whole.
    let twice = "INSERT INTO load_curve VALUES ('2034-01-01 00:00+00', 1, 6, 0, 0)
                 ON CONFLICT (meter, direction, start) DO UPDATE SET watts = excluded.watts";
    run(&mut conn, twice).await;
    assert_eq!(text(&mut conn, "SELECT sum(watts)::text FROM load_curve").await, ["21"]);
}

#[tokio::test]
async fn two_who_make_partitions_at_once_make_them_once() {
    let database = Server::shared().database().await;
    let make = async || {
        let mut conn = database.connect().await;
        text(&mut conn, "SELECT load_curve_years(2030, 2040)::text").await.remove(0).parse::<i32>().unwrap()
    };
    let (a, b, c) = tokio::join!(make(), make(), make());
    assert_eq!(a + b + c, 9);
}
