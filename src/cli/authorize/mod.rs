//! `linkyd authorize`: the consent of a customer, from the address of Enedis' page to a stored meter.
//!
//! A journey begins with an address to open and ends with what the browser brings back to it: caught by a small
//! page on loopback ([`waiting`]), or pasted. [`desk`] does what needs the database, a stage at a time, so that
//! a daemon goes on with its passes while a person reads Enedis' page. [`judge`] tells its answer from
//! those of other journeys, [`outcome`] says in words and exit codes how it ended, and [`block`] puts a new meter into
//! the configuration.

mod block;
mod desk;
mod judge;
mod outcome;
mod waiting;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use url::Url;

use self::block::NewMeter;
use self::desk::Desk;
use self::judge::Stands;
use self::outcome::{Ended, of_failure};
use self::waiting::{Came, Lines, Wait};
use super::args::AuthorizeArgs;
use super::render::number;
use super::{Trouble, wiring};
use crate::clock::Clock;
use crate::config::{ApiChoice, ApiEnvironment, Environment, Loaded, SourceConfig, SourceSettings};
use crate::domain::Api;
use crate::engine::consents;
use crate::exit::Exit;
use crate::source::enedis::consent::{self, Expected, Failed, Given, Period, State};
use crate::source::is_loopback;
use crate::store::{Answered, Authorisation, Brought, EndKnown, Journey};

/// What the journey is made with.
struct Errand<'e> {
    source: &'e SourceConfig,
    client_id: &'e str,
    api: Api,
    period: Period,
    /// Where Enedis' page is.
    page: Url,
}

pub(super) async fn authorize(
    args: &AuthorizeArgs,
    loaded: &Loaded,
    environment: &Environment,
    clock: Arc<dyn Clock>,
) -> Result<Exit, Trouble> {
    let errand = errand(args, loaded)?;
    let stop = wiring::stop_on_signals()?;
    let mut lines = Lines::default();
    let mut desk = Desk::new(loaded, &errand.source.name, Arc::clone(&clock), stop);
    let ended = if args.proceed {
        proceed(args, &mut desk).await?
    } else if let Some(url) = &args.url {
        let pasted = if url == "-" { lines.next().await.unwrap_or_default() } else { url.clone() };
        pasted_answer(args, &mut desk, &pasted).await?
    } else {
        let Some((state, journey)) = begin(args, &errand, &mut desk).await? else {
            return Ok(Exit::TryLater);
        };
        let url = consent::page(&errand.page, errand.api, errand.client_id, &state, errand.period);
        if args.no_wait {
            return show_page(args, &errand, &url);
        }
        journey_of_a_browser(args, &mut desk, &mut lines, (&state, &journey, &url)).await?
    };
    report(args, loaded, environment, &mut lines, &errand, ended).await
}

/// What the arguments and the configuration ask for.
fn errand<'e>(args: &AuthorizeArgs, loaded: &'e Loaded) -> Result<Errand<'e>, Trouble> {
    let usage = |message: String| Trouble { exit: Exit::Usage, message };
    let ours: Vec<&SourceConfig> = loaded
        .config
        .sources
        .iter()
        .filter(|source| matches!(source.settings, SourceSettings::Enedis { .. }))
        .collect();
    let names = || ours.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
    let source = match &args.source {
        Some(name) => match (ours.iter().find(|source| source.name == *name), loaded.config.source(name)) {
            (Some(source), _) => *source,
            (None, Some(gateway)) => return Err(usage(of_gateway(gateway))),
            (None, None) => {
                let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
                return Err(usage(format!("there is no source {name:?} of kind enedis; there is {}", names())));
            }
        },
        None => match ours.as_slice() {
            [only] => only,
            [] => {
                let message = loaded.config.sources.first().map_or_else(
                    || "no source is configured; a consent needs a [source.NAME] of kind enedis".to_owned(),
                    of_gateway,
                );
                return Err(Trouble { exit: Exit::Configuration, message });
            }
            _ => return Err(usage(format!("name one of the sources with --source: {}", names()))),
        },
    };
    let SourceSettings::Enedis { environment, api, client_id, .. } = &source.settings else {
        return Err(usage(of_gateway(source)));
    };
    if args.customer.is_some() && *environment != ApiEnvironment::Sandbox {
        return Err(usage(format!(
            "--customer picks one of the sandbox's test customers, and source {:?} is production; it needs environment = \
             \"sandbox\"",
            source.name
        )));
    }
    let api = args.api.unwrap_or(match api {
        ApiChoice::V5 => Api::V5,
        ApiChoice::V2026 | ApiChoice::Auto => Api::V2026,
    });
    let usual = if *environment == ApiEnvironment::Sandbox { consent::SANDBOX_PAGE } else { consent::PAGE };
    let page = match &args.page {
        Some(page) => page.clone(),
        None if is_loopback(&source.base_url) => source.base_url.clone(),
        None => Url::parse(usual).map_err(|error| Trouble::new(Exit::Internal, &error))?,
    };
    let period = args.duration.unwrap_or(Period::LONGEST);
    Ok(Errand { source, client_id, api, period, page })
}

/// Where the consent for a gateway is given.
fn of_gateway(source: &SourceConfig) -> String {
    let page = match source.settings {
        SourceSettings::ConsoApi { .. } => "https://conso.boris.sh",
        SourceSettings::MyElectricalData { .. } => "https://www.v2.myelectricaldata.fr",
        SourceSettings::Enedis { .. } => consent::PAGE,
    };
    format!(
        "source {:?} is a gateway: the consent for it is given on its own page, {page}, and not to an application of yours",
        source.name
    )
}

/// Draws a state and notes that a journey begins; `None` where somebody asked to stop.
async fn begin(
    args: &AuthorizeArgs,
    errand: &Errand<'_>,
    desk: &mut Desk<'_>,
) -> Result<Option<(State, Journey)>, Trouble> {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| Trouble {
        exit: Exit::Internal,
        message: "the operating system gave no random numbers".to_owned(),
    })?;
    let state = match args.customer {
        Some(customer) => State::for_customer(random, customer),
        None => State::of(random),
    };
    let journey = Journey {
        state: state.expected().digest().to_owned(),
        source: errand.source.name.clone(),
        api: errand.api,
        duration: errand.period.to_string(),
        begun_at: desk.now().timestamp(),
        answered_at: None,
        number: None,
        done_at: None,
    };
    Ok(desk.begin(&journey).await?.map(|()| (state, journey)))
}

/// Says which page to open, and leaves.
fn show_page(args: &AuthorizeArgs, errand: &Errand<'_>, url: &Url) -> Result<Exit, Trouble> {
    let mut out = io::stdout().lock();
    if args.json {
        let document = json!({
            "source": errand.source.name,
            "api": errand.api.name(),
            "result": "waiting",
            "url": url.as_str(),
            "meters": [],
        });
        writeln!(out, "{document:#}")?;
    } else {
        writeln!(out, "Open this page in the browser of whoever holds the contract:\n\n  {url}\n")?;
        writeln!(
            out,
            "Within a week, give the address on which the browser ends to `linkyd authorize --url -`, which reads it."
        )?;
    }
    Ok(Exit::Done)
}

/// Says which page to open, and waits for the browser.
async fn journey_of_a_browser(
    args: &AuthorizeArgs,
    desk: &mut Desk<'_>,
    lines: &mut Lines,
    (state, journey, url): (&State, &Journey, &Url),
) -> Result<Ended, Trouble> {
    let listen = args.listen.filter(|_| !args.no_listen);
    let terminal = io::stdin().is_terminal();
    if listen.is_none() && !terminal {
        let message =
            "--no-listen leaves no way for the answer; give the address with --url, after --no-wait".to_owned();
        return Err(Trouble { exit: Exit::Usage, message });
    }
    let mut wait = Wait::new(listen, terminal.then_some(lines)).await?;
    let limit = args.timeout;
    let until = desk.now() + limit;
    let mut told = format!("Open this page in the browser of whoever holds the contract:\n\n  {url}\n\n");
    if let Some(address) = wait.address() {
        let _infallible =
            writeln!(told, "Waiting for it to come back to {address} until {} (Paris).", number::wall(until));
    }
    if terminal {
        told.push_str("Where the browser is on another machine, paste the address on which it ends here.\n");
    }
    say(args, &told)?;
    let came = wait.answer(&state.expected(), limit, desk).await;
    let given = match came {
        Came::Answer(given) => given,
        // It is not noted as answered: what comes later can be pasted.
        Came::Nothing => return Ok(Ended::Failed(Failed::NoAnswer)),
        Came::Stopped => return Ok(Ended::Stopped { number: None }),
    };
    let patience = limit.max(Duration::from_hours(1));
    let ended = wait.meanwhile(made_good(args, desk, journey, given, patience)).await;
    wait.close().await;
    ended
}

/// Takes an address that was pasted, of a journey that may have begun in another process.
async fn pasted_answer(args: &AuthorizeArgs, desk: &mut Desk<'_>, pasted: &str) -> Result<Ended, Trouble> {
    // It is no such address at all, only a part of one, or of no journey of ours.
    let stray = || {
        let failed = consent::read_redirect(pasted, &Expected::kept(String::new())).err();
        Ended::Failed(failed.unwrap_or(Failed::OtherState))
    };
    let Some(expected) = consent::journey_of(pasted) else { return Ok(stray()) };
    let Some(journey) = desk.journey(expected.digest()).await? else { return Ok(Ended::Stopped { number: None }) };
    let Some(journey) = journey else { return Ok(stray()) };
    desk.of_source(&journey.source)?;
    if Stands::of(&journey, desk.now().timestamp()) == Stands::Expired {
        return Ok(Ended::Failed(Failed::Expired));
    }
    let given = consent::read_redirect(pasted, &expected);
    made_good(args, desk, &journey, given, args.timeout).await
}

/// Goes on with journeys that brought an authorisation whose meter was not listed yet.
async fn proceed(args: &AuthorizeArgs, desk: &mut Desk<'_>) -> Result<Ended, Trouble> {
    let Some(journeys) = desk.unfinished().await? else { return Ok(Ended::Stopped { number: None }) };
    let own = journeys.into_iter().find(|journey| args.source.as_ref().is_none_or(|name| *name == journey.source));
    let Some(journey) = own else { return Ok(Ended::NothingToProceed) };
    desk.of_source(&journey.source)?;
    let Some(number) = journey.number else { return Ok(Ended::NothingToProceed) };
    made_good(args, desk, &journey, Ok(Given::Authorisation(number)), args.timeout).await
}

/// Turns what the browser brought into stored consents. It is written down before anything else is done, so that it
/// cannot be lost nor taken twice.
async fn made_good(
    args: &AuthorizeArgs,
    desk: &mut Desk<'_>,
    journey: &Journey,
    given: Result<Given, Failed>,
    patience: Duration,
) -> Result<Ended, Trouble> {
    let now = desk.now();
    // Of a journey that is gone on with the consent is as old as its answer.
    let came = journey.answered_at.and_then(|at| DateTime::from_timestamp(at, 0)).unwrap_or(now);
    let ends = consents::reckoned(journey, came);
    let brought = match &given {
        Err(failed) if failed.is_answer() => Brought::Nothing,
        // The journey stays open: whoever gave only part of the address can still give all of it.
        Err(failed) => return Ok(Ended::Failed(failed.clone())),
        Ok(Given::Meters(prms)) => {
            let authorisation = |prm| Authorisation {
                prm,
                source: journey.source.clone(),
                api: Api::V5,
                number: None,
                granted_at: came.timestamp(),
                until: ends.map(crate::domain::paris::start_of),
                learnt: EndKnown::Duration,
                ended: false,
                checked_at: None,
                covers: Vec::new(),
            };
            Brought::Consents(prms.iter().cloned().map(authorisation).collect())
        }
        Ok(Given::Authorisation(number)) => Brought::Number(*number),
    };
    let Some(answered) = desk.answer(&journey.state, &brought).await? else {
        return Ok(Ended::Stopped { number: None });
    };
    // One that brought what is not made good yet is gone on with.
    let goes_on = |answered: &Answered| {
        let open = answered.journey.number.is_some() && answered.journey.done_at.is_none();
        open && matches!(brought, Brought::Number(_))
    };
    if !answered.is_some_and(|answered| answered.first || goes_on(&answered)) {
        return Ok(Ended::Failed(Failed::Used));
    }
    match (given, brought) {
        (Err(failed), _) => Ok(Ended::Failed(failed)),
        (_, Brought::Consents(given)) => Ok(Ended::Granted(given)),
        (Ok(Given::Meters(_)), _) => Ok(Ended::Failed(Failed::NoMeter)),
        (Ok(Given::Authorisation(number)), _) => {
            let told = |wait: Duration| {
                // What cannot be said is no reason to stop.
                let _ = say(
                    args,
                    &format!(
                        "The consent is given (authorisation {number}). Enedis does not list its meter yet; asking again in {}.\n",
                        number::duration(wait)
                    ),
                );
            };
            match desk.exchange(number, patience, told).await? {
                consents::Exchanged::Granted(granted) => {
                    let given = consents::of_services(&journey.source, number, &granted, ends, now);
                    let given = Authorisation { granted_at: came.timestamp(), ..given };
                    desk.finish(journey, number, vec![given]).await
                }
                consents::Exchanged::Nothing(looked) => Ok(Ended::Unlisted { number, looked }),
                consents::Exchanged::Stopped => Ok(Ended::Stopped { number: Some(number) }),
            }
        }
    }
}

/// Says how it ended, and adds new meters to the configuration where that is wanted.
async fn report(
    args: &AuthorizeArgs,
    loaded: &Loaded,
    environment: &Environment,
    lines: &mut Lines,
    errand: &Errand<'_>,
    ended: Ended,
) -> Result<Exit, Trouble> {
    let given = match &ended {
        Ended::Granted(given) => given.as_slice(),
        _ => &[],
    };
    let configured = |one: &Authorisation| loaded.config.meters.iter().any(|meter| meter.prm == one.prm);
    let new: Vec<NewMeter> = given
        .iter()
        .filter(|one| !configured(one))
        .map(|one| NewMeter::of(one, args.name.as_deref().filter(|_| given.len() == 1), loaded))
        .collect();
    let missing: Vec<String> =
        args.prms.iter().filter(|prm| given.iter().all(|one| one.prm != **prm)).map(ToString::to_string).collect();
    let mut exit = ended.exit();
    let amiss = (exit == Exit::Done && !missing.is_empty()).then(|| {
        exit = Exit::Failed;
        format!("the meter that was expected was not shared: {}; what was shared is stored", missing.join(", "))
    });
    if !args.json {
        if let Ended::Granted(given) = &ended {
            let mut out = io::stdout().lock();
            write!(out, "{}", outcome::text(given, loaded))?;
            if !new.is_empty() {
                let blocks: Vec<&str> = new.iter().map(|meter| meter.block.as_str()).collect();
                writeln!(out, "\nFor the configuration:\n\n{}", blocks.join("\n"))?;
            }
        } else if let Some(trouble) = of_failure(&ended) {
            return Err(trouble);
        }
    }
    let asks = !args.json && !args.write && !new.is_empty() && loaded.file.is_some() && io::stdin().is_terminal();
    let add = !new.is_empty() && (args.write || (asks && wants(loaded, lines).await?));
    let mut added = false;
    if add {
        let file = block::add(loaded, environment, &new)?;
        added = true;
        if !args.json {
            let mut out = io::stdout().lock();
            writeln!(
                out,
                "Added to {}. A daemon that runs reads it on SIGHUP (systemctl reload linkyd).",
                file.display()
            )?;
        }
    }
    if args.json {
        let mut document = outcome::document(&ended, loaded, &errand.source.name, errand.api, added);
        if let (Some(amiss), Some(fields)) = (&amiss, document.as_object_mut()) {
            fields.insert("message".to_owned(), json!(amiss));
        }
        super::print_json(&mut io::stdout(), &document)?;
    } else if let Some(message) = amiss {
        return Err(Trouble { exit, message });
    }
    Ok(exit)
}

/// Asks whether the new meters shall be added.
async fn wants(loaded: &Loaded, lines: &mut Lines) -> Result<bool, Trouble> {
    let Some(file) = &loaded.file else { return Ok(false) };
    let mut out = io::stdout().lock();
    write!(out, "Add that to {}? [y/N] ", file.display())?;
    out.flush()?;
    drop(out);
    let answer = lines.next().await.unwrap_or_default();
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes" | "o" | "oui"))
}

/// Tells a person something on the way: on standard output, or beside the document that goes there.
fn say(args: &AuthorizeArgs, text: &str) -> Result<(), Trouble> {
    if args.json {
        io::stderr().lock().write_all(text.as_bytes())?;
    } else {
        io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(())
}
