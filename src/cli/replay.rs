//! `linkyd db replay`: reads kept answers again with today's decoder, without a call.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::json;

use super::args::ReplayArgs;
use super::render::number;
use super::{Trouble, wiring};
use crate::clock::Clock;
use crate::config::Loaded;
use crate::domain::{Day, Days};
use crate::engine::replay::{Mended, Replayed, differences, replay, restore};
use crate::exit::Exit;
use crate::store::{Database, Mode};

const COMMAND: &str = "linkyd db replay";

pub(super) async fn run(args: &ReplayArgs, loaded: &Loaded, clock: &Arc<dyn Clock>) -> Result<Exit, Trouble> {
    let place = &loaded.config.database.place;
    let stop = wiring::stop_on_signals()?;
    let mode = if args.dry_run { Mode::Read } else { Mode::Write };
    let database = match mode {
        Mode::Read => Database::open(place, mode, COMMAND, clock).await?,
        _ => match wiring::open_in_turn(place, mode, COMMAND, &stop, clock).await? {
            Some(database) => database,
            None => return Ok(Exit::Done),
        },
    };
    let store = database.store();
    let only = match (args.narrow.from, args.narrow.to) {
        (None, None) => None,
        (from, to) => Days::new(
            from.unwrap_or_else(|| Day::from_number(0)),
            to.map_or_else(|| Day::from_number(90_000), Day::next),
        ),
    };
    let which = &args.narrow.which;
    let failing =
        if which.failing { Some(super::status::failing(&*store, &loaded.config, clock.now()).await?) } else { None };
    let (mut series, mut text, mut changes) = (Vec::new(), String::new(), false);
    for (meter, dataset) in store.kept_series().await? {
        if stop.is_cancelled() || !(which.named.is_empty() || which.datasets().contains(&dataset)) {
            continue;
        }
        let kept = store.kept(meter, dataset).await?;
        let Some(one) = kept.first() else { continue };
        if !(which.prms.is_empty() || which.prms.contains(&one.prm)) {
            continue;
        }
        if failing.as_ref().is_some_and(|failing| !failing.contains(&(one.prm.clone(), dataset))) {
            continue;
        }
        let (prm, name) = (one.prm.clone(), one.name.clone());
        let not_kept = store.not_kept(meter, dataset).await?;
        let replayed = replay(dataset.kind(), &kept, &not_kept, only);
        let mended = if args.dry_run {
            differences(&store.held_values(meter, dataset).await?, &replayed)
        } else {
            restore(&*store, &kept, &replayed, clock.now().timestamp()).await?
        };
        let Replayed { answers, unreadable, left_alone, .. } = replayed;
        let Mended { lacked, differed, surplus } = mended;
        changes |= !mended.is_nothing();
        let count = |n: u64| number::thousands(i64::try_from(n).unwrap_or(i64::MAX));
        let counted = |n: u64, one, many| number::counted(i64::try_from(n).unwrap_or(i64::MAX), one, many);
        let (read, lack) = (counted(answers as u64, "answer", "answers"), counted(lacked, "value", "values"));
        let _infallible = writeln!(
            text,
            "{name} {dataset}: {read}, {lack} lacked, {} differed, {} in no answer",
            count(differed),
            count(surplus)
        );
        for odd in &unreadable {
            let _infallible = writeln!(text, "  call {} ({}) is skipped: {}", odd.call.0, odd.days, odd.why);
        }
        if left_alone > 0 {
            let days = counted(left_alone as u64, "day stays as it is", "days stay as they are");
            let _infallible = writeln!(text, "  {days}: a newer answer was not kept or cannot be read");
        }
        let skipped: Vec<_> = unreadable
            .iter()
            .map(|odd| json!({"call": odd.call.0, "days": odd.days.to_string(), "why": odd.why}))
            .collect();
        series.push(json!({
            "prm": prm.full(), "name": name, "dataset": dataset.name(), "answers": answers,
            "lacked": lacked, "differed": differed, "surplus": surplus, "skipped": skipped, "days_left_alone": left_alone,
        }));
    }
    if !args.dry_run {
        store.tidy().await?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", json!({"dry_run": args.dry_run, "series": series}))?;
    } else if series.is_empty() {
        writeln!(out, "No answer is kept of that; database.raw_answers says whether they are.")?;
    } else {
        out.write_all(text.as_bytes())?;
        let done = match (changes, args.dry_run) {
            (false, _) => "What is stored is what the answers say: nothing had to be changed.",
            (true, true) => "Nothing was changed; without --dry-run what is stored becomes what the answers say.",
            (true, false) => {
                "What lacked or differed is as the answers say, and what is in none of them is gone; see v_revision."
            }
        };
        writeln!(out, "{done}")?;
    }
    Ok(Exit::Done)
}
