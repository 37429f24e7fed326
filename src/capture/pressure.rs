//! How hard a capture presses: how full the room is in which frames wait.

/// What is to be left out so that frames are not lost. Each level leaves out what the
/// ones below do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Nothing.
    #[default]
    None,
    /// Bodies on connections that have shown no sign of MCP.
    Bodies,
    /// New encrypted connections, but for their first message.
    Encrypted,
}

/// From so many percent on, bodies are left out.
const BODIES: usize = 50;

/// From so many percent on, encrypted connections are left out too.
const ENCRYPTED: usize = 75;

/// A level ends so many percent below where it begins.
const SLACK: usize = 25;

impl Pressure {
    /// The level after the room has come to be so many percent full.
    pub fn after(self, percent: usize) -> Self {
        let reached = |level, from| percent >= from || self >= level && percent >= from - SLACK;
        if reached(Self::Encrypted, ENCRYPTED) {
            Self::Encrypted
        } else if reached(Self::Bodies, BODIES) {
            Self::Bodies
        } else {
            Self::None
        }
    }

    /// The level as a number, from 0.
    pub const fn level(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Bodies => 1,
            Self::Encrypted => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_and_end_with_slack() {
        let mut pressure = Pressure::None;
        let steps = [
            (49, Pressure::None),
            (50, Pressure::Bodies),
            (26, Pressure::Bodies),
            (24, Pressure::None),
            (49, Pressure::None),
            (90, Pressure::Encrypted),
            (50, Pressure::Encrypted),
            (49, Pressure::Bodies),
            (74, Pressure::Bodies),
            (75, Pressure::Encrypted),
            (0, Pressure::None),
        ];
        for (percent, expected) in steps {
            pressure = pressure.after(percent);
            assert_eq!(pressure, expected, "{percent}");
        }
    }
}
