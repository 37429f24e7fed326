//! The workbench for signature sets: a set in, one [`Report`](report::Report) of
//! what it is worth out, in the formats that people and pipelines read.
//!
//! [`carrier`] puts the values of examples into real traffic, [`evasion`] writes
//! that traffic in other ways that mean the same, and [`examples`] holds the
//! engine's answers against what the set says.

mod bytes;
pub mod carrier;
pub mod check;
pub mod evasion;
pub mod examples;
pub mod list;
mod random;
pub mod report;
mod wire;

#[cfg(test)]
mod tests {
    use crate::signature::SignatureSet;

    /// A set of one signature, which is given without its head.
    pub(super) fn planted(text: &str) -> SignatureSet {
        let text = format!(
            "version = 1\n[[signature]]\nid = \"planted\"\ntitle = \"Planted\"\n\
             strength = \"strong\"\nreferences = [\"https://example.com\"]\n{text}\n"
        );
        SignatureSet::parse("planted.toml", &text).unwrap()
    }
}
