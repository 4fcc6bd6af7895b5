//! Meters as a table beside the blocks.

use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::clock::{Clock as _, SystemClock};

const TOP: &str = "meters_file = \"meters.csv\"\n";

/// The meters of a table, in the world of a source and no block.
fn loaded(table: &str) -> Vec<MeterConfig> {
    let world = World::new();
    world.write("meters.csv", table, 0o640);
    world.load(&format!("{TOP}{SOURCE}")).unwrap().config.meters
}

fn complaints(table: impl AsRef<[u8]>, block: &str) -> String {
    let world = World::new();
    fs::write(world.path("meters.csv"), table).unwrap();
    world.problems(&format!("{TOP}{SOURCE}{block}"))
}

#[test]
fn a_line_says_what_a_block_says() {
    let world = World::new();
    let gateway = "[source.home]\nkind = \"conso-api\"\ntoken = \"t\"\n";
    let table = "prm,name,sources,datasets,since\n\
                 01234567890123,Mairie,enedis|home,daily_consumption|daily_max_power,2024-02-29\n\
                 01234567890124,\"École, primaire\",enedis,,\n";
    world.write("meters.csv", table, 0o640);
    let from_table = world.load(&format!("{TOP}{SOURCE}{gateway}")).unwrap();
    let blocks = "[[meter]]\nprm = \"01234567890123\"\nname = \"Mairie\"\nsources = [\"enedis\", \"home\"]\n\
                  datasets = [\"daily_consumption\", \"daily_max_power\"]\nsince = 2024-02-29\n\
                  [[meter]]\nprm = \"01234567890124\"\nname = \"École, primaire\"\nsources = [\"enedis\"]\n";
    let from_blocks = world.load(&format!("{SOURCE}{gateway}{blocks}")).unwrap();
    assert_eq!(from_table.config.meters, from_blocks.config.meters);
    assert_eq!(from_table.meters_file, Some(world.path("meters.csv")));
    let origin = |line| Origin::File { path: world.path("meters.csv"), line };
    assert_eq!(*from_table.provenance.origin("meter.0.sources"), origin(2));
    assert_eq!(*from_table.provenance.origin("meter.1.name"), origin(3));
    assert_eq!(*from_table.provenance.origin("meter.1.datasets"), Origin::Default);
}

#[test]
fn tables_of_spreadsheets_are_read() {
    let plain = loaded("prm,name,since\n01234567890123,Mairie,2024-01-01\n01234567890124,,\n");
    assert_eq!(plain[1].name, "meter-0124");
    for table in [
        // French separators, a mark at the front, other line ends, an empty column and line at the end.
        "\u{feff}PRM;Name;Since;\r\n01234567890123;Mairie;2024-01-01;\r\n01234567890124;;;\r\n;;;\r\n",
        // Another order, blanks, quotes.
        "\n since , name , prm \n\"2024-01-01\", Mairie ,\"01234567890123\"\n\n,,01234567890124\n",
        "prm\tname\tsince\r01234567890123\tMairie\t2024-01-01\r01234567890124\r",
    ] {
        assert_eq!(loaded(table), plain, "{table:?}");
    }
    assert_eq!(loaded("prm\n"), []);
}

#[test]
fn blocks_come_first_and_are_counted_first() {
    let world = World::new().set("LINKYD_METER__0__NAME", "Chez nous");
    world.write("meters.csv", "prm\n01234567890124\n", 0o640);
    let loaded = world.load(&format!("{TOP}{SOURCE}{METER}")).unwrap();
    let names: Vec<&str> = loaded.config.meters.iter().map(|meter| meter.name.as_str()).collect();
    assert_eq!(names, ["Chez nous", "meter-0124"]);
    assert!(loaded.provenance.origin("meter.1.prm").to_string().ends_with("meters.csv:2"));
}

#[test]
fn the_environment_names_the_file_too() {
    let world = World::new();
    let path = world.write("fleet.csv", "prm\n01234567890124\n", 0o640);
    let world = world.set("LINKYD_METERS_FILE", &path.display().to_string());
    let loaded = world.load(&format!("{TOP}{SOURCE}")).unwrap();
    assert_eq!((loaded.config.meters.len(), loaded.warnings.len()), (1, 0));
    assert_eq!(*loaded.provenance.origin("meters_file"), Origin::Environment("LINKYD_METERS_FILE".to_owned()));
    assert!(world.environment().configures());
}

#[test]
fn mistakes_are_named_with_their_line() {
    let no_zero = "prm: a PRM has exactly 14 digits, this has 13 characters; a spreadsheet takes zeros off the front \
                   of a number: format the column as text and write all 14 digits";
    let power = "prm: a PRM has exactly 14 digits, this has 11 characters and not all of them are digits; a spreadsheet \
                 has made a number of it and lost its last digits: format the column as text and enter it anew";
    for (table, complaint) in [
        ("", "1: is empty; its first line names the columns: prm,name,sources,datasets,since"),
        ("prm,nmae\n", "1: column 2: unknown column \"nmae\"; the nearest known one is \"name\""),
        ("prm,name,prm\n", "1: column 3: there is a column \"prm\" already"),
        ("name\nMairie\n", "1: there is no column \"prm\""),
        (
            "01234567890123\n",
            "1: column 1 is a meter already; the first line has to name the columns: prm,name,sources,datasets,since",
        ),
        ("prm;name\n\n1234567890123;x\n", &format!("3: {no_zero}")),
        ("prm\r\n1,23457E+13\r\n".replace(',', ".").as_str(), &format!("2: {power}")),
        ("prm,name\n,Mairie\n", "2: this meter has no prm; its 14 digits are on every bill"),
        (
            "prm\n01234567890123,enedis\n",
            "2: column 2 has no name in the first line; lists inside a cell have | in between",
        ),
        (
            "prm,name\n01234567890123,\"x\n01234567890124,y\n",
            "2: a cell goes on over the end of the line; is a quote too many or missing?",
        ),
        (
            "prm;sources\n01234567890123;enedis,home\n",
            "2: there is no source \"enedis,home\"; the nearest is \"enedis\"; in a cell, write | between several",
        ),
        (
            "prm,datasets\n01234567890123,daily_consumption|daily_powr\n",
            "2: there is no dataset \"daily_powr\"; the nearest is \"daily_max_power\"",
        ),
        (
            "prm,since\n01234567890123,01/02/2024\n",
            "2: since: \"01/02/2024\" is no day; write it as YYYY-MM-DD; format the column as text, so that a \
             spreadsheet leaves it alone",
        ),
    ] {
        assert_eq!(complaints(table, ""), format!("meters.csv:{complaint}"), "{table:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_of_the_key() {
    let told = |bytes: &[u8]| complaints(bytes, "");
    let line = "config.toml:1: meters_file: meters.csv cannot be read: ";
    assert_eq!(
        told(b"prm,name\n01234567890123,\xc9cole\n"),
        format!("{line}line 2 is not UTF-8; save it as CSV in UTF-8")
    );
    assert_eq!(told(b"\xff\xfep\0r\0m\0"), format!("{line}it is UTF-16; save it as CSV in UTF-8"));
    assert_eq!(
        problems(&format!("{TOP}{SOURCE}")),
        "config.toml:1: meters_file: meters.csv is not there; mend the path or create it"
    );
    assert_eq!(
        problems(&format!("{SOURCE}{METER}{TOP}")),
        "config.toml:6: meters_file stands in [[meter]]; it belongs to the top of the file, above every [section]"
    );
}

#[test]
fn a_meter_is_there_once_in_file_and_blocks() {
    let block = format!("{METER}name = \"Mairie\"\n");
    assert_eq!(
        complaints("prm,name\n01234567890123,x\n01234567890124,Mairie\n01234567890124,y\n", &block),
        "meters.csv:2: prm …0123 is already that of the meter at config.toml:6\n\
         meters.csv:3: name \"Mairie\" is already that of the meter at config.toml:7; choose another one\n\
         meters.csv:4: prm …0124 is already that of the meter at meters.csv:3"
    );
}

#[test]
fn one_mistake_in_each_of_thousands_of_lines_is_not_told_thousands_of_times() {
    let table = (0..2_000).fold("prm\n".to_owned(), |table, n| format!("{table}{n}\n"));
    let told = complaints(table, "");
    assert_eq!(told.lines().count(), 51);
    assert!(told.contains("1950 more mistakes in meters.csv"), "{told}");
}

#[test]
fn thousands_of_meters_are_read_in_no_time() {
    let mut table = "prm,name,datasets\n".to_owned();
    let mut blocks = String::new();
    for n in 0..10_000 {
        let _infallible = writeln!(table, "{:014},Foyer {n},daily_consumption|daily_max_power", n + 1);
        let _infallible = writeln!(blocks, "[[meter]]\nprm = \"{:014}\"\nname = \"Lot {n}\"", n + 20_001);
    }
    let world = World::new();
    world.write("meters.csv", &table, 0o640);
    let clock = SystemClock::new();
    let loaded = world.load(&format!("{TOP}{SOURCE}{blocks}")).unwrap();
    assert_eq!(loaded.config.meters.len(), 20_000);
    // Comparing each with each, or counting lines from the top, takes minutes in a build for tests.
    assert!(clock.monotonic() < Duration::from_secs(20), "{:?}", clock.monotonic());
}
