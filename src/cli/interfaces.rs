//! `mcpwatch interfaces`: what there is to watch.

use std::io::Write;

use serde::Serialize;

use super::args::{InterfacesArgs, ListFormat};
use super::{Exit, print};
use crate::capture::live::{Interface, interfaces};
use crate::findings::escape::printable;

/// One interface of a listing.
#[derive(Serialize)]
struct Listed {
    name: String,
    index: u32,
    up: bool,
    running: bool,
    loopback: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    addresses: Vec<String>,
}

impl From<Interface> for Listed {
    fn from(from: Interface) -> Self {
        Self {
            name: from.name,
            index: from.index,
            up: from.up,
            running: from.running,
            loopback: from.loopback,
            mac: from.mac,
            addresses: from.addresses.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Listed {
    const fn state(&self) -> &'static str {
        match (self.up, self.running) {
            (false, _) => "down",
            (true, false) => "no link",
            (true, true) => "up",
        }
    }
}

pub(super) fn run(args: &InterfacesArgs) -> Exit {
    let listed: Vec<Listed> = interfaces().into_iter().map(Listed::from).collect();
    print(|out| match args.format {
        ListFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &listed)?;
            writeln!(out)
        }
        ListFormat::Text => text(&listed, out),
    })
}

fn text(listed: &[Listed], out: &mut dyn Write) -> std::io::Result<()> {
    let widest = listed.iter().map(|line| line.name.len()).max().unwrap_or(0);
    for line in listed {
        let (name, mac) = (printable(&line.name), line.mac.as_deref().unwrap_or("-"));
        let shown =
            format!("{name:widest$}  {:7}  {mac:17}  {}", line.state(), line.addresses.join(" "));
        writeln!(out, "{}", shown.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_interface() {
        let span = Listed {
            name: "span0".into(),
            index: 2,
            up: true,
            running: false,
            loopback: false,
            mac: Some("02:00:00:00:00:01".into()),
            addresses: Vec::new(),
        };
        let lo = Listed {
            name: "lo".into(),
            index: 1,
            up: true,
            running: true,
            loopback: true,
            mac: None,
            addresses: vec!["127.0.0.1/8".into(), "::1/128".into()],
        };
        let mut out = Vec::new();
        text(&[lo, span], &mut out).unwrap();
        let expected = "\
lo     up       -                  127.0.0.1/8 ::1/128
span0  no link  02:00:00:00:00:01
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
