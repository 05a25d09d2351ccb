//! Reports of bad settings, one line each.

use clap::{
    CommandFactory,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Config;

/// Returns the report of a setting's error, or none if the error is about something else.
pub(super) fn line(error: &clap::Error) -> Option<String> {
    bad_value(error).or_else(|| bad_encoding(error))
}

/// Reports a bad value: the variable, the value unless it is secret, and the reason.
fn bad_value(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg)?;
    let value = text(ContextKind::InvalidValue)?;
    let flag = argument.split([' ', '=']).next()?.trim_start_matches('-');
    let command = Config::command();
    let known = command
        .get_arguments()
        .find(|known| known.get_long() == Some(flag))?;
    let variable = known.get_env()?.to_string_lossy().into_owned();
    let shown = match known.is_hide_env_values_set() {
        true => "the value".to_owned(),
        false => format!("{value:?}"),
    };
    let reason = std::error::Error::source(error).map(|source| format!(" ({source})"));
    Some(format!(
        "{variable}: {shown} is not valid{}",
        reason.unwrap_or_default()
    ))
}

/// Reports a variable with a value other than UTF-8.
fn bad_encoding(error: &clap::Error) -> Option<String> {
    let command = (error.kind() == ErrorKind::InvalidUtf8).then(Config::command)?;
    let mut variables = command.get_arguments().filter_map(|known| known.get_env());
    let bad = variables
        .find(|name| std::env::var_os(name).is_some_and(|value| value.to_str().is_none()))?;
    Some(format!("{}: the value is not UTF-8", bad.to_string_lossy()))
}
