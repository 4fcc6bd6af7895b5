//! `linkyd forget`: removes personal data or whole meters, and names what would bring them back.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::sync::Arc;

use serde_json::json;

use super::args::ForgetArgs;
use super::render::number;
use super::{Trouble, wiring};
use crate::clock::Clock;
use crate::config::{Config, Loaded, MeterConfig};
use crate::domain::{CustomerDataset, Prm};
use crate::exit::Exit;
use crate::store::{Database, Forget, Forgotten, Mode};

pub(super) async fn forget(args: &ForgetArgs, loaded: &Loaded, clock: Arc<dyn Clock>) -> Result<Exit, Trouble> {
    const COMMAND: &str = "linkyd forget";
    let config = &loaded.config;
    let what = if args.personal { Forget::Personal(args.prms.clone()) } else { Forget::Meters(args.prms.clone()) };
    if !args.yes && !confirmed(&what)? {
        return Ok(Exit::Usage);
    }
    // Read first: a database of another version is to stay as it is.
    Database::open(&config.database.place, Mode::Read, COMMAND, &clock).await?;
    let stop = wiring::stop_on_signals()?;
    let turn = wiring::open_in_turn(&config.database.place, Mode::Write, COMMAND, &stop, &clock).await?;
    let Some(database) = turn else { return Ok(Exit::Done) };
    let now_ms = clock.now().timestamp_millis();
    let forgotten = database.forget(what.clone(), now_ms).await?;
    let unknown: Vec<&Prm> =
        args.prms.iter().filter(|prm| forgotten.meters.iter().all(|meter| meter.prm != **prm)).collect();
    let again = again(&what, config);
    let mut out = io::stdout().lock();
    if args.json {
        super::print_json(&mut out, &document(&what, &forgotten, &unknown, &again))?;
    } else {
        out.write_all(text(&what, &forgotten, &unknown, &again).as_bytes())?;
    }
    Ok(ending(&forgotten))
}

/// What a script is told: where somebody was in the way, the rows are gone and their pages are not.
fn ending(forgotten: &Forgotten) -> Exit {
    if forgotten.in_the_way { Exit::TryLater } else { Exit::Done }
}

/// What is asked before, where somebody can answer.
fn confirmed(what: &Forget) -> Result<bool, Trouble> {
    if !io::stdin().is_terminal() {
        let message = "what is forgotten cannot be brought back; add --yes where there is no terminal".to_owned();
        return Err(Trouble { exit: Exit::Usage, message });
    }
    let mut err = io::stderr().lock();
    write!(err, "{} This cannot be undone. Type yes to go on: ", question(what))?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn question(what: &Forget) -> String {
    let of = |count: usize| number::counted(i64::try_from(count).unwrap_or(i64::MAX), "meter", "meters");
    match what {
        Forget::Personal(prms) if prms.is_empty() => "Forget the personal data of all meters?".to_owned(),
        Forget::Personal(prms) => format!("Forget the personal data of {}?", of(prms.len())),
        Forget::Meters(prms) => format!("Forget everything about {}, their readings included?", of(prms.len())),
    }
}

/// The meters of the configuration that would have it fetched again, and for which datasets.
fn again<'c>(what: &Forget, config: &'c Config) -> Vec<(&'c MeterConfig, Vec<&'static str>)> {
    let prms = what.meters();
    let concerned = config.meters.iter().filter(|meter| prms.is_empty() || prms.contains(&meter.prm));
    let found = concerned.map(|meter| {
        let personal = meter.customer.iter().filter(|about| about.is_personal()).map(|about| about.name());
        let names: Vec<&'static str> = match what {
            Forget::Personal(_) => personal.collect(),
            Forget::Meters(_) => {
                let measures = meter.datasets.iter().map(|dataset| dataset.name());
                measures.chain(meter.customer.iter().copied().map(CustomerDataset::name)).collect()
            }
        };
        (meter, names)
    });
    found.filter(|(_, names)| !names.is_empty()).collect()
}

fn text(what: &Forget, forgotten: &Forgotten, unknown: &[&Prm], again: &[(&MeterConfig, Vec<&'static str>)]) -> String {
    let mut text = String::new();
    for meter in &forgotten.meters {
        let rows = number::counted(i64::try_from(meter.rows).unwrap_or(i64::MAX), "row", "rows");
        let _infallible = writeln!(text, "{}: {rows} forgotten.", meter.name);
    }
    for prm in unknown {
        let swept = if forgotten.swept { "; its pages were swept all the same" } else { "" };
        let _infallible = writeln!(text, "{prm}: the database holds nothing of it{swept}.");
    }
    if forgotten.meters.is_empty() && unknown.is_empty() {
        text.push_str("There was nothing to forget.\n");
    }
    let _infallible = writeln!(text, "Note: {}.", forgotten.remains);
    for (meter, names) in again {
        let name = &meter.name;
        let _infallible = match what {
            Forget::Personal(_) => writeln!(
                text,
                "It is fetched again once it is due, within a week, unless you take {} from the datasets of meter {name:?} \
                 in the configuration.",
                names.join(", ")
            ),
            Forget::Meters(_) => writeln!(
                text,
                "The next pass fetches it again, unless you remove meter {name:?} from the configuration. A daemon reads that \
                 on SIGHUP."
            ),
        };
    }
    text
}

fn document(
    what: &Forget,
    forgotten: &Forgotten,
    unknown: &[&Prm],
    again: &[(&MeterConfig, Vec<&'static str>)],
) -> serde_json::Value {
    let meters: Vec<_> = forgotten
        .meters
        .iter()
        .map(|meter| json!({"prm": meter.prm.full(), "name": meter.name, "rows": meter.rows}))
        .collect();
    let again: Vec<_> = again
        .iter()
        .map(|(meter, names)| json!({"prm": meter.prm.full(), "name": meter.name, "datasets": names}))
        .collect();
    json!({
        "personal": matches!(what, Forget::Personal(_)),
        "meters": meters,
        "unknown": unknown.iter().map(|prm| prm.full()).collect::<Vec<_>>(),
        "swept": forgotten.swept,
        "remains": forgotten.remains,
        "fetched_again": again,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brings_it_back_is_named_with_how_to_keep_it_away() {
        let toml = "[source.enedis]\nclient_id = \"app\"\n[[meter]]\nprm = \"01234567890123\"\nname = \"Maison\"\n\
                    datasets = [\"daily_consumption\", \"address\", \"contact\"]\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, toml).unwrap();
        let loaded =
            crate::config::load(Some(&path), &crate::config::Environment::default(), crate::config::Secrets::Skip)
                .unwrap();
        let prm: Prm = "01234567890123".parse().unwrap();
        for (what, words) in [
            (
                Forget::Personal(Vec::new()),
                "within a week, unless you take address, contact from the datasets of meter \"Maison\" in the configuration.",
            ),
            (Forget::Meters(vec![prm]), "fetches it again, unless you remove meter \"Maison\" from the configuration."),
        ] {
            let text = text(&what, &Forgotten::default(), &[], &again(&what, &loaded.config));
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_script_is_told_what_is_worth_doing_again() {
        let of = |swept, in_the_way| Forgotten { swept, in_the_way, ..Forgotten::default() };
        for (forgotten, exit) in
            [(of(true, false), Exit::Done), (of(false, true), Exit::TryLater), (of(false, false), Exit::Done)]
        {
            assert_eq!(ending(&forgotten), exit);
            let document = document(&Forget::Personal(Vec::new()), &forgotten, &[], &[]);
            assert_eq!(document["swept"], forgotten.swept, "{document}");
        }
    }

    #[test]
    fn pages_that_could_not_be_swept_are_not_called_so() {
        let prm: Prm = "01234567890123".parse().unwrap();
        let what = Forget::Meters(vec![prm.clone()]);
        for swept in [true, false] {
            let forgotten = Forgotten { swept, remains: "close dashboards".to_owned(), ..Forgotten::default() };
            let text = text(&what, &forgotten, &[&prm], &[]);
            assert!(text.contains("holds nothing of it") && text.contains("Note: close dashboards."), "{text}");
            assert_eq!(text.contains("swept all the same"), swept, "{text}");
        }
    }
}
