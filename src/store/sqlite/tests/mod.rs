//! What only a file can have: locks, damage, readers beside it, size and plans. What every store
//! must do is tested in [`crate::store`]'s own suite.

mod crashes;
mod faults;
mod readers;
mod size;
mod statements;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

use super::{Mode, SqliteStore};
use crate::domain::{Dataset, Days, Values, paris};
use crate::store::tests::{
    CURVE, LIMITS, METER, PRM, SOURCE, Sqlite, curve, dashboard, day, days, energy, peaks, rows, setup,
};
use crate::store::{NewCall, Store, StoreError, Window};

type World = crate::store::tests::World<Sqlite>;
