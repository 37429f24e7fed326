//! Parquet, made from a finished stream.

use std::fs::File;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;

use super::ipc::rewound;
use super::spool::ConvertError;
use crate::findings::output::Output;
use crate::findings::schema::{SCHEMA_KEY, SCHEMA_VERSION, arrow_schema};

/// Writes the batches of the stream in `spool` as a Parquet file, compressed
/// with Zstandard.
pub(super) fn write_file(spool: &mut File, output: &mut Output) -> Result<(), ConvertError> {
    let version = KeyValue::new(SCHEMA_KEY.to_owned(), SCHEMA_VERSION.to_owned());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("mcpwatch ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![version]))
        .build();
    let mut writer = ArrowWriter::try_new(output, arrow_schema(), Some(properties))?;
    for batch in rewound(spool)? {
        writer.write(&batch?)?;
    }
    writer.close()?;
    Ok(())
}
