//! Every statement is valid, and the views are served by keys.

use sqlx::{Executor, SqlSafeStr};

use super::*;
use crate::store::sqlite::{rows as many, sql};

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let world = World::new().await;
    let mut conn = SqliteConnectOptions::new().filename(world.path()).connect().await.unwrap();
    for (name, text) in sql::ALL {
        if let Err(error) = conn.prepare(text.into_sql_str()).await {
            panic!("{name}: {error}");
        }
    }
    for shape in many::ALL {
        for rows in [1, 2, 365] {
            conn.prepare(AssertSqlSafe(shape.sql(rows)).into_sql_str()).await.unwrap();
        }
    }
    std::mem::forget(conn);
}

/// How SQLite runs a query, one line a loop.
async fn plan(world: &World, sql: &str) -> String {
    let rows = world.rows(&format!("EXPLAIN QUERY PLAN {sql}")).await;
    rows.iter().map(|row| row.rsplit('|').next().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn ranges_in_the_views_are_served_by_keys() {
    let world = World::new().await;
    let intervals = [("v_load_curve", "starts_epoch"), ("v_hourly", "starts_epoch")];
    let dailies = ["v_daily", "v_coverage", "v_reconciliation", "v_daily_by_class"].map(|view| (view, "day"));
    for (view, column) in intervals.into_iter().chain(dailies) {
        let range = if column == "day" { "'2026-10-01' AND '2026-10-07'" } else { "1790000000 AND 1790600000" };
        for meter in ["prm = '01234567890123'", "meter = 'Maison'"] {
            for more in ["", " AND direction = 'consumption'", " AND dataset = 'daily_consumption'"] {
                if (more.contains("direction") && ["v_daily", "v_coverage"].contains(&view))
                    || (more.contains("dataset") && view != "v_coverage")
                {
                    continue;
                }
                let plan =
                    plan(&world, &format!("SELECT * FROM {view} WHERE {meter} AND {column} BETWEEN {range}{more}"))
                        .await;
                // Only tables with a handful of rows may be walked.
                let computed: Vec<&str> = plan.lines().filter_map(|line| line.strip_prefix("CO-ROUTINE ")).collect();
                let walked = plan.lines().filter(|line| line.starts_with("SCAN") && !line.starts_with("SCAN v_"));
                for line in walked.filter(|line| !computed.contains(&line.trim_start_matches("SCAN "))) {
                    assert_eq!(line, "SCAN d", "{view}: {plan}");
                }
                let range = match view {
                    "v_load_curve" => "(meter=? AND direction=? AND start>? AND start<?)",
                    "v_hourly" => "SEARCH h USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
                    _ => "INDEX sqlite_autoindex_calendar_1 (iso>? AND iso<?)",
                };
                assert!(plan.contains(range), "{view}: {plan}");
            }
        }
    }
}

#[tokio::test]
async fn the_ledger_is_read_by_its_key() {
    let world = World::new().await;
    for (sql, key) in [
        (sql::USAGE, "call_by_account"),
        (sql::SPENT, "call_by_account"),
        (sql::REFUSED_TOKENS, "call_by_account"),
        (sql::FACTS_FAILED, "call_failed"),
        (sql::CURVE_HELD, "(meter=? AND direction=? AND start>? AND start<?)"),
        (sql::ANSWER_MEETS, "(meter=? AND dataset=? AND day>? AND day<?)"),
    ] {
        let plan = plan(&world, sql).await;
        assert!(plan.contains(key) && !plan.contains("SCAN k"), "{plan}");
    }
}
