//! Opening a database: who may create it, who need not, and what is refused.

use super::*;
use crate::store::StoreError;
use crate::store::postgres::NEWEST_SCHEMA;

async fn try_open(url: &str, mode: Mode) -> Result<PostgresStore, StoreError> {
    let clock: Arc<dyn Clock> = clock();
    PostgresStore::open(Address::parse(url, None).unwrap(), mode, TimeOf::Caller, clock).await
}

fn with(url: &str, parameter: &str) -> String {
    format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' })
}

#[tokio::test]
async fn an_empty_database_is_filled_by_who_may_and_refused_by_readers() {
    let database = Server::shared().empty_database().await;
    for mode in [Mode::Read, Mode::Write] {
        let error = try_open(&database.url(), mode).await.unwrap_err().to_string();
        assert!(error.contains("not there yet"), "{error}");
    }
    try_open(&database.url(), Mode::Create).await.unwrap();
    try_open(&database.url(), Mode::Read).await.unwrap();
    database.run(&format!("UPDATE schema_version SET version = {}", NEWEST_SCHEMA + 1)).await;
    let error = try_open(&database.url(), Mode::Create).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_begin_at_once_one_migrates() {
    let database = Server::shared().empty_database().await;
    let url = with(&database.url(), "schema=energy");
    let open = || {
        let url = url.clone();
        tokio::spawn(async move { try_open(&url, Mode::Create).await })
    };
    let both = [open(), open(), open()];
    for one in both {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn tables_of_others_are_left_alone() {
    let database = Server::shared().empty_database().await;
    database.run("CREATE TABLE meter (id int4)").await;
    let error = try_open(&database.url(), Mode::Create).await.unwrap_err().to_string();
    assert!(error.contains("schema=linkyd"), "{error}");
    let store = try_open(&with(&database.url(), "schema=linkyd"), Mode::Create).await.unwrap();
    store.set_up(&setup(1)).await.unwrap();
    assert_eq!(store.status().await.unwrap().len(), 3);
}

/// Behind a pooler nothing may be kept in a session: no prepared statement, no setting.
#[tokio::test]
async fn a_schema_of_its_own_without_prepared_statements_serves_as_well() {
    let database = Server::shared().empty_database().await;
    let url = with(&database.url(), "schema=Mon+%22%C3%A9nergie%22&statement-cache-capacity=0");
    let store = try_open(&url, Mode::Create).await.unwrap();
    store.set_up(&setup(1)).await.unwrap();
    store.open_windows(&windows(1, "2026-11-01", "2026-11-24"), NOW).await.unwrap();
    let span = days("2026-11-17", "2026-11-24");
    let (line, _) = reserve(&store, &call(CURVE, span, Some(0))).await;
    let lease = Some(Lease { token: line, keep: false });
    store.commit(answer(line, lease, CURVE, span, curve(span, 5))).await.unwrap();
    assert_eq!(store.check().await.unwrap(), []);
    assert!(store.examine().await.unwrap().pooled);
    let prepared = "SELECT count(*) FROM pg_prepared_statements";
    let mut conn = database.connect().await;
    let (count,): (i64,) = sqlx::query_as(prepared).persistent(false).fetch_one(&mut conn).await.unwrap();
    assert_eq!(count, 0);
}

/// The daemon's role need not own anything.
#[tokio::test]
async fn a_role_that_may_only_write_rows_suffices() {
    let database = Server::shared().database().await;
    let (name, role) = (database.name().to_owned(), format!("writer_{}", database.name()));
    database
        .run(&format!(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE ROLE {role} LOGIN PASSWORD 'x';
             GRANT CONNECT ON DATABASE {name} TO {role}; GRANT USAGE ON SCHEMA public TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
        ))
        .await;
    let mut url = url::Url::parse(&database.url()).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("x")).unwrap();
    let store = try_open(url.as_str(), Mode::Create).await.unwrap();
    store.set_up(&setup(2)).await.unwrap();
    store.open_windows(&windows(2, "2015-12-30", "2016-01-02"), NOW).await.unwrap();
    let examined = store.examine().await.unwrap();
    assert!(examined.may_write && !examined.owner && !examined.read_only && !examined.pooled, "{examined:?}");
    database.run(&format!("REVOKE INSERT ON series FROM {role}")).await;
    let error = store.set_up(&setup(3)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("series"), "{error}");
    drop(store);
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let url = "postgres://linky:s3cret@127.0.0.1:1/power?connect_timeout=2";
    let error = try_open(url, Mode::Create).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("power at 127.0.0.1:1 (user linky)"), "{error}");
    assert!(!format!("{error:?} {error}").contains("s3cret"));
}
