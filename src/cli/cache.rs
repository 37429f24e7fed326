//! Where compiled signatures are kept between runs.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// Names the folder, or, empty, says that there is to be none.
const VARIABLE: &str = "MCPWATCH_CACHE";

/// The folder that the environment names, or the user's cache (XDG Base
/// Directory Specification); none if neither is there.
pub(super) fn folder() -> Option<PathBuf> {
    choose(env::var_os(VARIABLE), |name| env::var_os(name))
}

fn choose(named: Option<OsString>, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(named) = named {
        return (!named.is_empty()).then(|| PathBuf::from(named));
    }
    // What is not absolute is to be ignored.
    let place = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    let users = place("XDG_CACHE_HOME")
        .or_else(|| place("LOCALAPPDATA"))
        .or_else(|| place("HOME").map(|folder| folder.join(home)))?;
    Some(users.join("mcpwatch"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(named: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        choose(named.map(OsString::from), variable).map(|path| path.display().to_string())
    }

    #[test]
    fn the_environment_says_where() {
        let users = [("XDG_CACHE_HOME", "/cache"), ("HOME", "/home/analyst")];
        assert_eq!(chosen(Some("here"), &users).as_deref(), Some("here"));
        assert_eq!(chosen(Some(""), &users), None);
        assert_eq!(chosen(None, &users).as_deref(), Some("/cache/mcpwatch"));
        assert_eq!(chosen(None, &[("XDG_CACHE_HOME", "relative")]), None);
        assert_eq!(chosen(None, &[]), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn without_more_it_is_below_home() {
        let expected = Some("/home/analyst/.cache/mcpwatch");
        assert_eq!(chosen(None, &[("HOME", "/home/analyst")]).as_deref(), expected);
    }
}
