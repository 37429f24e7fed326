//! Hello messages made to measure.

use crate::stream::tls::record::{RecordHeader, content};

/// Builds a ClientHello.
pub(in super::super) struct HelloBuilder {
    version: u16,
    suites: Vec<u16>,
    extensions: Vec<u8>,
}

impl HelloBuilder {
    pub(in super::super) fn new() -> Self {
        Self { version: 0x0303, suites: vec![0x1301], extensions: Vec::new() }
    }

    pub(in super::super) fn version(mut self, version: u16) -> Self {
        self.version = version;
        self
    }

    pub(in super::super) fn suites(mut self, suites: &[u16]) -> Self {
        self.suites = suites.to_vec();
        self
    }

    pub(in super::super) fn extension(mut self, number: u16, content: &[u8]) -> Self {
        self.extensions.extend(number.to_be_bytes());
        self.extensions.extend(vec16(content));
        self
    }

    pub(in super::super) fn numbers(self, number: u16, numbers: &[u16]) -> Self {
        let list = numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
        self.extension(number, &vec16(&list))
    }

    pub(in super::super) fn server_name(self, name: &str) -> Self {
        let entry = [&[0][..], &vec16(name.as_bytes())].concat();
        self.extension(0, &vec16(&entry))
    }

    pub(in super::super) fn alpn(self, names: &[&str]) -> Self {
        let names = names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>();
        self.alpn_bytes(&names)
    }

    pub(in super::super) fn alpn_bytes(self, names: &[&[u8]]) -> Self {
        let list = names.iter().flat_map(|name| vec8(name)).collect::<Vec<_>>();
        self.extension(16, &vec16(&list))
    }

    pub(in super::super) fn versions(self, versions: &[u16]) -> Self {
        let list = versions.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
        self.extension(43, &vec8(&list))
    }

    pub(in super::super) fn message(self) -> Vec<u8> {
        let extensions = vec16(&self.extensions);
        handshake(1, &[self.fields(), extensions].concat())
    }

    pub(in super::super) fn message_without_extensions(self) -> Vec<u8> {
        handshake(1, &self.fields())
    }

    fn fields(&self) -> Vec<u8> {
        let suites = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<_>>();
        [&self.version.to_be_bytes()[..], &[7; 32], &vec8(&[9; 32]), &vec16(&suites), &[1, 0]]
            .concat()
    }
}

/// A ServerHello.
pub(in super::super) fn server_hello(suite: u16, extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let list = extensions
        .iter()
        .flat_map(|(number, content)| [&number.to_be_bytes()[..], &vec16(content)].concat())
        .collect::<Vec<_>>();
    let fields = [&[3, 3][..], &[8; 32], &[0], &suite.to_be_bytes(), &[0], &vec16(&list)];
    handshake(2, &fields.concat())
}

/// A handshake message.
pub(in super::super) fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (body.len() as u32).to_be_bytes();
    [&[kind, a, b, c], body].concat()
}

/// Plain handshake records of at most `size` bytes each.
pub(in super::super) fn records(messages: &[u8], size: usize) -> Vec<u8> {
    let record = |body: &[u8]| {
        let len = body.len() as u16;
        let header = RecordHeader { kind: content::HANDSHAKE, version: 0x0303, len };
        [&header.bytes(), body].concat()
    };
    messages.chunks(size).flat_map(record).collect()
}

fn vec8(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

fn vec16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes()[..], content].concat()
}
