//! The daemon on a server that goes away: it waits, goes on, and two of them share what there is to do.

use std::collections::BTreeSet;

use linkyd::clock::{Clock as _, SystemClock};
use linkyd::domain::paris;

use crate::cli_rig::{Home, Simulated, meter, source};
use crate::daemon_rig::{Daemon, http};
use crate::postgres::{Database, Server};
use crate::server::{block_on, rows};

/// A home with three weeks of the simulator's meter to fetch into a database.
fn home(database: &Database, enedis: &Simulated) -> Home {
    let home = Home::empty();
    let since = paris::today(SystemClock::new().now()).plus(-20);
    let place = format!("[database]\nurl = \"{}\"\n", database.url());
    let meters = meter(&format!("since = {since}"));
    home.configure(&format!("{place}{}{}", source(&enedis.url, ""), http(None)), &meters);
    home
}

#[test]
fn a_daemon_waits_for_a_server_that_goes_away_and_another_one_shares_its_work() {
    let server = Server::own();
    let database = block_on(server.empty_database());
    let folder = crate::cli_rig::folder();
    let enedis = Simulated::start_today(folder.path(), &["--no-limits", "--latency-ms", "50"]);
    let homes = [home(&database, &enedis), home(&database, &enedis)];
    // The tables are made by one of them; the other one finds them.
    let daemons = homes.each_ref().map(Daemon::start);
    for daemon in &daemons {
        daemon.logs("pass done", 1);
    }
    homes[0].assert_whole();
    let asked = || -> Vec<String> {
        let span =
            |call: &serde_json::Value| format!("{} {} {} {}", call["prm"], call["dataset"], call["start"], call["end"]);
        enedis.calls().iter().map(span).collect()
    };
    let calls = asked();
    assert_eq!(calls.iter().collect::<BTreeSet<_>>().len(), calls.len(), "{calls:?}");

    server.stop();
    for daemon in &daemons {
        daemon.process.signal("-USR1");
        daemon.logs("waiting for the database", 1);
    }
    // Whoever starts now is told, and a service manager tries again.
    let third = home(&database, &enedis);
    let mut late = Daemon::start(&third);
    assert_eq!(late.process.code(), Some(69), "{}", late.log());
    server.start();
    for daemon in &daemons {
        daemon.logs("the database answers again", 1);
        daemon.logs("pass done", 2);
    }
    assert_eq!(asked(), calls, "nothing was lost, so nothing was asked for again");
    // What is to be asked for again is asked for by one of them.
    let missing = "WITH missing AS (
        UPDATE coverage SET state = (SELECT id FROM day_state WHERE name = 'missing') WHERE dataset = 3 RETURNING day
    ) SELECT count(*)::text FROM missing";
    assert_ne!(rows(&database, missing), ["0"]);
    for daemon in &daemons {
        daemon.process.signal("-USR1");
        daemon.logs("pass done", 3);
    }
    assert_eq!(asked().len(), calls.len() + 1);
    for daemon in daemons {
        daemon.stop();
    }
    homes[1].assert_whole();
}
