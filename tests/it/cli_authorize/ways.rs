//! The ways in which a journey goes, over HTTP as a browser goes them, in both APIs.

use super::*;

/// One of them.
struct Way {
    name: &'static str,
    /// What the browser does; it brings the command that still runs or has ended by itself, and the page that it
    /// showed in the end.
    browse: fn(&Home) -> (Waiting, (u16, String)),
    /// The status of that page, and words on it.
    page: (u16, &'static [&'static str]),
    exit: i32,
    /// Words for whoever sits at the terminal.
    told: &'static str,
    /// The meters that are stored.
    stored: &'static [&'static str],
}

/// Where nothing depends on the API.
const SAME: [Way; 5] = [
    Way {
        name: "granted",
        browse: |home| {
            let waiting = Waiting::start(home, &[]);
            let shown = click(&waiting.page, &share(METER));
            (waiting, shown)
        },
        page: (200, &["The consent has arrived"]),
        exit: 0,
        told: "Granted: meter 01234567890123",
        stored: &[METER],
    },
    Way {
        name: "refused",
        browse: |home| {
            let waiting = Waiting::start(home, &[]);
            let shown = click(&waiting.page, "refuse");
            (waiting, shown)
        },
        page: (400, &["The customer refused on Enedis", "begin anew"]),
        exit: 1,
        told: "[consent_refused]",
        stored: &[],
    },
    Way {
        name: "wrong state",
        browse: |home| {
            let waiting = Waiting::start(home, &[]);
            let right = address_after(&waiting.page, &share(METER));
            let state = right.split("state=").nth(1).unwrap().split('&').next().unwrap();
            let shown = open(&right.replace(state, "0123456789abcdef0123456789abcdefx"));
            // It waited on: the right one is taken.
            assert_eq!(open(&right).0, 200);
            (waiting, shown)
        },
        page: (400, &["its state is another one", "linkyd still waits for the right answer: open the page"]),
        exit: 0,
        told: r#"code="consent_state""#,
        stored: &[METER],
    },
    Way {
        name: "replayed callback",
        browse: |home| {
            let earlier = Waiting::start(home, &[]);
            let port = earlier.port;
            let used = address_after(&earlier.page, &share(METER));
            assert_eq!(open(&used).0, 200);
            earlier.ends().exits(0);
            // The tab is opened once more, or its address tried again, where a later journey waits.
            let waiting = Waiting::start(home, &[]);
            let shown = open(&used.replace(&format!(":{port}/"), &format!(":{}/", waiting.port)));
            waiting.process.signal("-INT");
            (waiting, shown)
        },
        page: (400, &["an earlier journey that was answered already", "linkyd still waits"]),
        exit: 75,
        told: r#"code="consent_used""#,
        stored: &[METER],
    },
    Way {
        name: "expired",
        browse: |home| {
            let waiting = Waiting::start(home, &[]);
            home.edit("UPDATE journey SET begun_at = begun_at - 8 * 86400");
            let shown = click(&waiting.page, &share(METER));
            (waiting, shown)
        },
        page: (400, &["This journey was begun more than a week ago", "begin anew"]),
        exit: 1,
        told: "[consent_expired]",
        stored: &[],
    },
];

/// A meter that is shared already, which only the old journey shares anew.
const fn shared_already(old: bool) -> Way {
    Way {
        name: "already shared",
        browse: if old { |home| shares_it(home, &[]) } else { |home| shares_it(home, &["--timeout", "2s"]) },
        page: (200, if old { &["The consent has arrived"] } else { &["déjà partagé"] }),
        exit: if old { 0 } else { 1 },
        told: if old { "Granted: meter 01234567890456" } else { "delete that share in the customer account" },
        stored: if old { &[SHARED] } else { &[] },
    }
}

fn shares_it(home: &Home, args: &[&str]) -> (Waiting, (u16, String)) {
    let waiting = Waiting::start(home, args);
    let shown = click(&waiting.page, &share(SHARED));
    (waiting, shown)
}

fn each_way_ends_as_it_should(api: &str) {
    for way in SAME.iter().chain(&[shared_already(api == "v5")]) {
        let name = format!("{} ({api})", way.name);
        let (home, _enedis) = rig(&world(0, ""), api);
        let (waiting, (status, page)) = (way.browse)(&home);
        assert_eq!(status, way.page.0, "{name}: {page}");
        for words in way.page.1 {
            assert!(page.contains(words), "{name}: {page}");
        }
        let ran = waiting.ends().exits(way.exit);
        assert!(format!("{}{}", ran.out, ran.err).contains(way.told), "{name}: {}{}", ran.out, ran.err);
        assert_eq!(home.rows("SELECT prm FROM authorisation"), way.stored, "{name}");
    }
}

#[test]
fn each_way_of_the_old_journey_ends_as_it_should() {
    each_way_ends_as_it_should("v5");
}

#[test]
fn each_way_of_the_new_journey_ends_as_it_should() {
    each_way_ends_as_it_should("2026");
}
