//! Why nothing can be captured.

use std::io;

/// Why an interface cannot be captured from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// There is no interface of that name.
    #[error("{name}: no such interface; 'mcpwatch interfaces' lists them")]
    Unknown {
        /// The interface.
        name: String,
    },
    /// The interface was not brought up.
    #[error("{name}: the interface is down; bring it up with 'ip link set {name} up'")]
    Down {
        /// The interface.
        name: String,
    },
    /// The process may not capture.
    #[error(
        "{name}: no permission to capture: run as root, or give the program the capability \
         once: sudo setcap cap_net_raw+ep {program}"
    )]
    NotPermitted {
        /// The interface.
        name: String,
        /// Where this program lies.
        program: String,
    },
    /// Frames of this interface begin in a way that is not read.
    #[error("{name}: frames of its hardware type ({hardware}) are not read")]
    UnreadLink {
        /// The interface.
        name: String,
        /// The kernel's number of the type (`ARPHRD_*`).
        hardware: u16,
    },
    /// The system refused something.
    #[error("{name}: {step}: {error}")]
    System {
        /// The interface.
        name: String,
        /// What was being done.
        step: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The filter cannot be used on this interface.
    #[error("{name}: --filter does not apply to its frames: {reason}")]
    Filter {
        /// The interface.
        name: String,
        /// Why.
        reason: String,
    },
    /// Live capture is not part of this build.
    #[error("{name}: this build cannot capture on this system")]
    NotBuilt {
        /// The interface.
        name: String,
    },
}
