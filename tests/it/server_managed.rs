//! A server that somebody else administers: the role is no superuser, the database is another's, nothing may be made
//! in it but in one schema. Everything that linkyd does works there, and what is not allowed is told plainly.

use crate::cli_rig::{Home, METER, Simulated, meter, source};
use crate::postgres::{Database, Server};
use crate::server::{block_on, rows};

/// A database of an administrator's, with a role that owns two schemas of it and nothing else.
struct Managed {
    database: Database,
    role: String,
}

impl Managed {
    fn new() -> Self {
        let database = block_on(Server::shared().empty_database());
        let role = database.name().to_owned();
        block_on(database.run(&format!(
            "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD 'of {role}';
             REVOKE ALL ON DATABASE {role} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {role} TO {role};
             REVOKE ALL ON SCHEMA public FROM PUBLIC;
             CREATE SCHEMA power AUTHORIZATION {role};
             CREATE SCHEMA spare AUTHORIZATION {role}"
        )));
        Self { database, role }
    }

    /// A URL of the role's, with a schema where one is named.
    fn url(&self, schema: &str) -> String {
        let mut url = url::Url::parse(&self.database.url()).unwrap();
        url.set_username(&self.role).unwrap();
        url.set_password(Some(&format!("of {}", self.role))).unwrap();
        if !schema.is_empty() {
            url.query_pairs_mut().append_pair("schema", schema);
        }
        url.into()
    }

    /// A home whose database is a schema of it.
    fn home(&self, enedis: &Simulated, schema: &str) -> Home {
        let home = Home::empty();
        let place = format!("[database]\nurl = \"{}\"\n", self.url(schema));
        home.configure(&format!("{place}{}", source(&enedis.url, "")), &meter("since = 2026-10-01"));
        home
    }

    fn end(self) {
        let (server, role) = (self.database.server(), self.role);
        drop(self.database);
        block_on(server.run(&format!("DROP ROLE {role}")));
    }
}

#[test]
fn a_role_that_owns_a_schema_and_nothing_else_can_do_everything() {
    let managed = Managed::new();
    let folder = crate::cli_rig::folder();
    let enedis = Simulated::start(folder.path(), &["--no-limits"]);
    let home = managed.home(&enedis, "power");
    home.run(&["db", "migrate"]).exits(0);
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], enedis.calls().len());
    assert_eq!(home.run_at_morning(&["status", "--check"]).exits(0).err, "");
    home.assert_whole();
    let read = |schema: &str, what: &str| rows(&managed.database, &what.replace("FROM ", &format!("FROM {schema}.")));
    let curve = "SELECT prm || starts_epoch || watts FROM v_load_curve ORDER BY 1";
    let stored = read("power", curve);
    assert!(stored.len() > 5_000, "{}", stored.len());
    // Years to come have partitions of their own: the role's, as all the tables are.
    let theirs = format!(
        "SELECT count(*)::text FROM pg_class WHERE relnamespace = 'power'::regnamespace
         AND relkind IN ('r', 'p', 'v') AND relowner <> '{}'::regrole",
        managed.role
    );
    assert_eq!(rows(&managed.database, &theirs), ["0"]);
    assert_eq!(read("power", "SELECT count(*)::text FROM load_curve_rest"), ["0"]);
    assert_eq!(rows(&managed.database, "SELECT extname::text FROM pg_extension"), ["plpgsql"]);

    // Into a file, and into another schema of the same database.
    let file = format!("sqlite://{}", home.path("copy.db").display());
    home.run(&["db", "copy", "--to", &file]).exits(0);
    home.run(&["db", "copy", "--to", &managed.url("spare")]).exits(0);
    assert!(read("spare", curve) == stored, "the copy has other rows");
    managed.home(&enedis, "spare").assert_whole();

    home.run(&["forget", "--prm", METER, "--yes"]).exits(0);
    assert_eq!(read("power", "SELECT count(*)::text FROM v_load_curve"), ["0"]);
    home.assert_whole();
    assert_eq!(read("spare", curve).len(), stored.len(), "what is in the other schema is not touched");
    managed.end();
}

#[test]
fn what_a_role_may_not_is_told_with_what_to_do() {
    let managed = Managed::new();
    let folder = crate::cli_rig::folder();
    let enedis = Simulated::start(folder.path(), &["--no-limits"]);
    let may_look = format!("GRANT USAGE ON SCHEMA public TO {}", managed.role);
    // No schema that it may use; one that it may not fill, as `public` is; and none that it may make.
    for (grant, schema, advice) in [
        ("SELECT 1", "", "`schema=linkyd` in `database.url`".to_owned()),
        (&may_look, "", format!("`CREATE SCHEMA linkyd AUTHORIZATION \"{}\"`, and name it", managed.role)),
        ("SELECT 1", "other", format!("`CREATE SCHEMA \"other\" AUTHORIZATION \"{}\"`", managed.role)),
    ] {
        block_on(managed.database.run(grant));
        let home = managed.home(&enedis, schema);
        for command in [&["db", "migrate"][..], &["sync"]] {
            let ran = home.run(command).exits(69);
            let told = ran.message();
            assert!(told.contains(&advice), "{schema}: {told}");
        }
    }
    assert_eq!(enedis.calls().len(), 0);
    managed.end();
}
