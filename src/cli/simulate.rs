//! `linkyd simulate`: a stand-in for Enedis on this machine.

use std::io;
use std::sync::Arc;

use super::{Trouble, wiring};
use crate::clock::Clock;
use crate::exit::Exit;
use crate::simulator::command::{self, SimulateArgs, SimulateError};

pub(super) async fn simulate(args: &SimulateArgs, clock: Arc<dyn Clock>) -> Result<Exit, Trouble> {
    let stop = wiring::stop_on_signals()?;
    let mut out = io::stdout();
    let done = command::simulate(args, clock, &mut out, async move { stop.cancelled().await }).await;
    done.map_err(|error| {
        let exit = match &error {
            SimulateError::NotLoopback(_) => Exit::Usage,
            SimulateError::Scenario { .. } => Exit::Configuration,
            SimulateError::Unreadable { .. }
            | SimulateError::Log { .. }
            | SimulateError::Serve { .. }
            | SimulateError::Output(_) => Exit::InputOutput,
        };
        Trouble::new(exit, &error)
    })?;
    Ok(Exit::Done)
}
