//! The log of HTTP requests as JSON Lines.

use std::io::{self, Write};

use super::lines::BUFFER;
use super::{SinkError, Target};
use crate::findings::http::HttpRequest;
use crate::findings::json::append_line;
use crate::findings::output::{Destination, Output};

/// Writes HTTP requests, one JSON object a line.
pub struct HttpLog {
    target: Target,
    output: Output,
    buffer: Vec<u8>,
}

impl HttpLog {
    /// Opens `destination`.
    ///
    /// # Errors
    /// If it cannot be written to.
    pub fn open(destination: Destination) -> Result<Self, SinkError> {
        let target = Target(destination.name());
        let output = destination.resolve().and_then(Output::open);
        let output = output.map_err(|error| target.error(error))?;
        Ok(Self { target, output, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Takes a request.
    ///
    /// # Errors
    /// If the output could not be written.
    pub fn write(&mut self, request: &HttpRequest) -> Result<(), SinkError> {
        let appended = append_line(&mut self.buffer, request);
        let written = appended.and_then(|()| match self.buffer.len() {
            BUFFER.. => self.write_out(),
            _ => Ok(()),
        });
        written.map_err(|error| self.target.error(error))
    }

    /// Ends the output; a file gets its name.
    ///
    /// # Errors
    /// If the output could not be written.
    pub fn finish(mut self) -> Result<(), SinkError> {
        self.write_out().map_err(|error| self.target.error(error))?;
        let Self { target, output, .. } = self;
        output.commit().map_err(|error| target.error(error))
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.output.keep();
        let written = self.output.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

impl std::fmt::Debug for HttpLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HttpLog").field(&self.target).finish()
    }
}
