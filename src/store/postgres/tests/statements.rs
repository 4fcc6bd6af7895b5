//! Every statement is one that the server understands.

use sqlx::{Executor as _, SqlSafeStr as _};

use super::Server;
use crate::store::postgres::sql;

#[tokio::test]
async fn every_statement_is_understood() {
    let database = Server::shared().database().await;
    let mut conn = database.connect().await;
    for (name, statement) in sql::ALL {
        if let Err(error) = conn.prepare(statement.into_sql_str()).await {
            panic!("{name}: {error}");
        }
    }
}
