//! Capture filters in BPF syntax (pcap-filter(7)), compiled by libpcap.
//!
//! Only with the cargo feature `libpcap`; without it no filter can be made, and
//! the error says how to get one.

pub use imp::FrameFilter;

/// Why there is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The expression is not valid.
    #[error("invalid filter '{expression}': {reason}")]
    Invalid {
        /// The expression.
        expression: String,
        /// What libpcap says.
        reason: String,
    },
    /// This build cannot compile filters.
    #[error(
        "this build has no filter compiler: install libpcap's development files \
         (Debian: libpcap-dev), then 'cargo install mcpwatch --features libpcap'"
    )]
    Unavailable,
}

/// An instruction of a filter program, as the kernel takes it (classic BPF).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux takes them here"))]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

/// The program that lets nothing through.
#[cfg(target_os = "linux")]
pub(super) const NOTHING: [Instruction; 1] = [Instruction { code: op::RETURN, jt: 0, jf: 0, k: 0 }];

/// Operations of classic BPF (linux/bpf_common.h), named by what they do to the
/// accumulator, or to the register X.
#[cfg(target_os = "linux")]
pub(super) mod op {
    pub(in crate::capture) const LOAD_WORD_AT: u16 = 0x20;
    pub(in crate::capture) const LOAD_HALF_AT: u16 = 0x28;
    pub(in crate::capture) const LOAD_WORD_FROM_X: u16 = 0x40;
    pub(in crate::capture) const LOAD_HALF_FROM_X: u16 = 0x48;
    pub(in crate::capture) const LOAD_BYTE_FROM_X: u16 = 0x50;
    pub(in crate::capture) const LOAD: u16 = 0x60;
    pub(in crate::capture) const LOAD_X: u16 = 0x61;
    pub(in crate::capture) const SET: u16 = 0x00;
    pub(in crate::capture) const SET_X: u16 = 0x01;
    pub(in crate::capture) const STORE: u16 = 0x02;
    pub(in crate::capture) const STORE_X: u16 = 0x03;
    pub(in crate::capture) const ADD_X: u16 = 0x0c;
    pub(in crate::capture) const MULTIPLY: u16 = 0x24;
    pub(in crate::capture) const AND: u16 = 0x54;
    pub(in crate::capture) const SHIFT_LEFT: u16 = 0x64;
    pub(in crate::capture) const SHIFT_RIGHT: u16 = 0x74;
    pub(in crate::capture) const TO_X: u16 = 0x07;
    pub(in crate::capture) const JUMP: u16 = 0x05;
    pub(in crate::capture) const JUMP_IF_EQUAL: u16 = 0x15;
    pub(in crate::capture) const JUMP_IF_ANY: u16 = 0x45;
    pub(in crate::capture) const RETURN: u16 = 0x06;
    pub(in crate::capture) const RETURN_SUM: u16 = 0x16;
}

#[cfg(not(feature = "libpcap"))]
mod imp {
    use super::FilterError;
    #[cfg(target_os = "linux")]
    use super::Instruction;
    use crate::capture::{Frame, LinkType};

    /// A filter on frames; no value of it exists without the feature `libpcap`.
    #[derive(Clone, Debug)]
    pub enum FrameFilter {}

    impl FrameFilter {
        /// Compiles an expression: always an error without the feature
        /// `libpcap`.
        pub fn compile(_expression: &str) -> Result<Self, FilterError> {
            Err(FilterError::Unavailable)
        }

        /// Whether the expression is true of `frame`.
        pub fn accepts(&mut self, _frame: &Frame<'_>) -> bool {
            match *self {}
        }

        /// The program for the kernel.
        #[cfg(target_os = "linux")]
        pub(in crate::capture) fn kernel_program(
            &self,
            _link: LinkType,
        ) -> Result<Option<Vec<Instruction>>, String> {
            match *self {}
        }

        /// Link types of which the expression cannot be true.
        pub fn inapplicable(&self) -> impl Iterator<Item = (LinkType, &str)> {
            std::iter::empty()
        }
    }
}

#[cfg(feature = "libpcap")]
mod imp {
    use std::fmt;

    use pcap::{BpfProgram, Capture, Linktype};

    use super::FilterError;
    #[cfg(target_os = "linux")]
    use super::Instruction;
    use crate::capture::{Frame, LinkType};

    /// Expressions that no link type here understands are refused at once.
    const COMMON: [LinkType; 3] = [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL2];

    /// A filter on frames. It is compiled once for each link type that comes;
    /// each thread should have its own clone.
    ///
    /// `len`, `greater` and `less` speak of the captured length.
    pub struct FrameFilter {
        expression: String,
        /// Few: a handful of link types is much for a capture.
        programs: Vec<(LinkType, Result<BpfProgram, String>)>,
    }

    impl FrameFilter {
        /// Compiles `expression`; an error if it is not valid on any usual link
        /// type.
        pub fn compile(expression: &str) -> Result<Self, FilterError> {
            let mut programs = Vec::new();
            for link in COMMON {
                let program = program(expression, link);
                let valid = program.is_ok();
                programs.push((link, program));
                if valid {
                    // The others are compiled when their first frame comes.
                    programs.retain(|(_, program)| program.is_ok());
                    return Ok(Self { expression: expression.to_owned(), programs });
                }
            }
            let reason = programs.into_iter().find_map(|(_, program)| program.err());
            Err(FilterError::Invalid {
                expression: expression.to_owned(),
                reason: reason.unwrap_or_default(),
            })
        }

        /// The expression.
        #[cfg(unix)]
        pub(in crate::capture) fn expression(&self) -> &str {
            &self.expression
        }

        /// Whether the expression is true of `frame`. It is not where it cannot
        /// be compiled for the frame's link type (`ether host` on raw IP).
        pub fn accepts(&mut self, frame: &Frame<'_>) -> bool {
            let known = self.programs.iter().position(|(link, _)| *link == frame.link);
            let index = known.unwrap_or_else(|| {
                self.programs.push((frame.link, program(&self.expression, frame.link)));
                self.programs.len() - 1
            });
            match self.programs.get(index) {
                Some((_, Ok(program))) => program.filter(frame.data),
                _ => false,
            }
        }

        /// The program for the kernel; none where the kernel does not see what the
        /// expression speaks of, because it takes VLAN tags out before the filter.
        #[cfg(target_os = "linux")]
        pub(in crate::capture) fn kernel_program(
            &self,
            link: LinkType,
        ) -> Result<Option<Vec<Instruction>>, String> {
            let program = program(&self.expression, link)?;
            let mut words = self.expression.split(|c: char| !c.is_ascii_alphanumeric());
            if words.any(|word| word == "vlan") {
                return Ok(None);
            }
            Ok(program.get_instructions().iter().map(|it| instruction(&it.to_string())).collect())
        }

        /// Link types that came and that the expression does not apply to, each
        /// with what libpcap says: all of their frames were refused.
        pub fn inapplicable(&self) -> impl Iterator<Item = (LinkType, &str)> {
            self.programs.iter().filter_map(|(link, program)| match program {
                Ok(_) => None,
                Err(reason) => Some((*link, reason.as_str())),
            })
        }
    }

    /// Reads an instruction as the `pcap` crate prints it: four decimal numbers.
    #[cfg(target_os = "linux")]
    fn instruction(text: &str) -> Option<Instruction> {
        let mut words = text.split_ascii_whitespace();
        let mut next = || words.next()?.parse::<u32>().ok();
        Some(Instruction {
            code: next()?.try_into().ok()?,
            jt: next()?.try_into().ok()?,
            jf: next()?.try_into().ok()?,
            k: next()?,
        })
    }

    impl Clone for FrameFilter {
        /// The same expression, to be compiled anew.
        fn clone(&self) -> Self {
            Self { expression: self.expression.clone(), programs: Vec::new() }
        }
    }

    impl fmt::Debug for FrameFilter {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("FrameFilter").field("expression", &self.expression).finish()
        }
    }

    fn program(expression: &str, link: LinkType) -> Result<BpfProgram, String> {
        let number = i32::try_from(data_link(link)).map_err(|error| error.to_string())?;
        Capture::dead(Linktype(number))
            .and_then(|capture| capture.compile(expression, true))
            .map_err(|error| match error {
                pcap::Error::PcapError(reason) => reason,
                other => other.to_string(),
            })
    }

    /// libpcap compiles for the numbers of the system (`DLT_`), which are those
    /// of files but for raw IP.
    fn data_link(link: LinkType) -> u32 {
        match link {
            LinkType::RAW if cfg!(target_os = "openbsd") => 14,
            LinkType::RAW => 12,
            LinkType::LOOP if cfg!(target_os = "openbsd") => 12,
            LinkType(number) => number,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(not(feature = "libpcap"))]
    #[test]
    fn without_libpcap_the_error_says_how_to_get_it() {
        use super::{FilterError, FrameFilter};
        let error = FrameFilter::compile("tcp").unwrap_err();
        assert_eq!(error, FilterError::Unavailable);
        assert!(error.to_string().contains("cargo install mcpwatch --features libpcap"));
    }

    #[cfg(feature = "libpcap")]
    mod with_libpcap {
        use super::super::*;
        use crate::capture::{Frame, LinkType, SourceId};
        use crate::time::Timestamp;

        /// An IPv4 header, UDP from port 53 to port 9.
        const UDP: [u8; 28] = [
            0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0, 9, 0, 8,
            0, 0,
        ];

        fn accepts(filter: &mut FrameFilter, link: LinkType, prefix: &[u8]) -> bool {
            let data = [prefix, &UDP].concat();
            filter.accepts(&Frame {
                number: 1,
                time: Timestamp::default(),
                link,
                source: SourceId::default(),
                original_len: data.len() as u32,
                data: &data,
            })
        }

        const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];

        #[test]
        fn one_expression_on_several_link_types() {
            for (expression, matches) in
                [("udp port 53", true), ("udp port 54", false), ("", true), ("tcp", false)]
            {
                let mut filter = FrameFilter::compile(expression).unwrap();
                let sll = [0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
                for (link, prefix) in [
                    (LinkType::ETHERNET, &ETHERNET[..]),
                    (LinkType::RAW, &[]),
                    (LinkType::IPV4, &[]),
                    (LinkType::LINUX_SLL, &sll),
                ] {
                    assert_eq!(
                        accepts(&mut filter, link, prefix),
                        matches,
                        "{expression} {link:?}"
                    );
                    assert_eq!(accepts(&mut filter.clone(), link, prefix), matches);
                }
            }
        }

        #[test]
        fn invalid_expressions_are_refused_with_the_reason() {
            for expression in ["tcp prot 80", "host", "port 99999", "a\0b"] {
                let error = FrameFilter::compile(expression).unwrap_err();
                assert!(matches!(error, FilterError::Invalid { .. }), "{error}");
            }
        }

        #[test]
        fn a_link_type_that_the_expression_does_not_apply_to_is_told() {
            let mut filter = FrameFilter::compile("ether host 02:00:00:00:00:01").unwrap();
            assert!(accepts(&mut filter, LinkType::ETHERNET, &ETHERNET));
            assert_eq!(filter.inapplicable().count(), 0);
            assert!(!accepts(&mut filter, LinkType::RAW, &[]));
            let links: Vec<_> = filter.inapplicable().map(|(link, _)| link).collect();
            assert_eq!(links, [LinkType::RAW]);
        }

        #[test]
        fn a_filter_can_go_to_another_thread() {
            fn send<T: Send>() {}
            send::<FrameFilter>();
        }
    }
}
