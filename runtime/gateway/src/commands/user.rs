//! `bulkhead user`: who may use the API with a password. It changes the file in the data folder itself, so that it works before
//! the gateway runs; a running one sees the change within a second.

use super::accounts::{recorded, store};
use crate::cli::{AddUserArguments, ListAccountsArguments, UserArguments, UserCommand};
use crate::exit::Exit;
use crate::{console, journal};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use serde_json::{Value as Json, json};
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Most bytes read of a password.
const LINE_MAX_BYTES: u64 = 4 * 1024;

pub(crate) fn user(command: &UserCommand) -> Result<(), Exit> {
    journal::start_quiet();
    match command {
        UserCommand::Add(arguments) => add(arguments),
        UserCommand::List(arguments) => list(arguments),
        UserCommand::Remove(arguments) => remove(arguments),
        UserCommand::Password(arguments) => set_password(arguments),
    }
}

fn add(arguments: &AddUserArguments) -> Result<(), Exit> {
    let store = store(&arguments.config)?;
    let password = asked_password()?;
    store.add_user(&arguments.name, arguments.role, &password)?;
    let detail = json!({ "name": arguments.name, "role": arguments.role.name() });
    recorded(&arguments.config, "user add".into(), Some(detail))?;
    console::say(&format!("user {} has the role {}", arguments.name, arguments.role.name()));
    Ok(())
}

fn list(arguments: &ListAccountsArguments) -> Result<(), Exit> {
    let users = store(&arguments.config)?.read()?.users;
    if arguments.json {
        let users: Vec<Json> =
            users.iter().map(|user| json!({ "name": user.name, "role": user.role.name() })).collect();
        console::say_json(&users)?;
    } else if users.is_empty() {
        console::say("no users");
    } else {
        let rows = users.iter().map(|user| [user.name.clone(), user.role.name().to_owned()]);
        console::say_lines(&console::table(["user", "role"], rows));
    }
    Ok(())
}

fn remove(arguments: &UserArguments) -> Result<(), Exit> {
    store(&arguments.config)?.remove_user(&arguments.name)?;
    recorded(&arguments.config, "user remove".into(), Some(json!({ "name": arguments.name })))?;
    console::say(&format!("user {} is removed", arguments.name));
    Ok(())
}

fn set_password(arguments: &UserArguments) -> Result<(), Exit> {
    let store = store(&arguments.config)?;
    if !store.read()?.users.iter().any(|user| user.name == arguments.name) {
        return Err(Exit::failed(format!("there is no user {}", arguments.name)));
    }
    let password = asked_password()?;
    store.set_password(&arguments.name, &password)?;
    recorded(&arguments.config, "user password".into(), Some(json!({ "name": arguments.name })))?;
    console::say(&format!("user {} has another password", arguments.name));
    Ok(())
}

/// The password: asked for twice and not shown at a terminal, else the first line of stdin.
fn asked_password() -> Result<String, Exit> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    let first = hidden("password: ")?;
    if hidden("again: ")? == first { Ok(first) } else { Err(Exit::failed("the two passwords differ")) }
}

fn line() -> Result<String, Exit> {
    use std::io::Read as _;
    let mut line = String::new();
    std::io::BufReader::new(std::io::stdin().lock().take(LINE_MAX_BYTES)).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks without showing what is typed.
fn hidden(question: &str) -> Result<String, Exit> {
    let stdin = std::io::stdin();
    let shown = tcgetattr(&stdin)?;
    let mut unseen = shown.clone();
    unseen.local_flags.remove(LocalFlags::ECHO);
    unseen.local_flags.insert(LocalFlags::ECHONL);
    let mut out = std::io::stderr();
    out.write_all(question.as_bytes())?;
    out.flush()?;
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &unseen)?;
    let answer = line();
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &shown)?;
    answer
}
