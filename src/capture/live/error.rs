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
        /// The kernel's number of the type (`ARPHRD_*`), or libpcap's (`DLT_*`).
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
    /// What libpcap says.
    #[error("{name}: {reason}")]
    Libpcap {
        /// The interface.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// This build was made without libpcap.
    #[error(
        "this build cannot capture through libpcap: install its development files \
         (Debian: libpcap-dev), then 'cargo install mcpwatch --features libpcap'"
    )]
    NoLibpcap,
    /// This system has no ring of packet sockets.
    #[error("only Linux has the ring; capture through libpcap")]
    NoRing,
}

/// Where this program lies, for a command that is to be typed.
#[cfg(any(target_os = "linux", all(unix, feature = "libpcap")))]
pub(super) fn program() -> String {
    std::env::current_exe().map_or("mcpwatch".into(), |path| path.display().to_string())
}
