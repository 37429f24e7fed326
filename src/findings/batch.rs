//! Rows into Arrow record batches.
//!
//! A [`Batcher`] takes rows one by one and gives a batch whenever it holds
//! enough of them: by rows, by bytes, or (for a live sensor) by age. It reads
//! no clock; who runs it says what time it is. Dictionaries are built anew for
//! every batch, so memory does not grow with the values seen, save that a
//! closed set of values always stands in its fixed order.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::builder::{
    BooleanBuilder, Int64Builder, ListBuilder, StringBuilder, StringDictionaryBuilder,
    StructBuilder, TimestampNanosecondBuilder, UInt16Builder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray, StructArray};
use arrow_schema::{ArrowError, DataType, SchemaRef};

use super::column::{COLUMNS, ColumnType, Value, groups};
use super::row::{MethodCount, Row};
use super::schema::{TIME_ZONE, arrow_schema, method_fields, method_item, text_item};

/// When a batch is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Most rows in a batch.
    pub max_rows: usize,
    /// Most bytes of text in a batch; the row that reaches it is still taken.
    pub max_bytes: usize,
    /// Longest that a row waits, at the grain of the calls of `tick`.
    pub max_age: Duration,
}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self { max_rows: 4096, max_bytes: 8 << 20, max_age: Duration::from_secs(1) }
    }
}

/// Gathers rows into batches.
pub struct Batcher {
    policy: BatchPolicy,
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    waiting_since: Option<Instant>,
}

impl Batcher {
    /// An empty batcher.
    pub fn new(policy: BatchPolicy) -> Self {
        Self {
            policy,
            schema: arrow_schema(),
            columns: COLUMNS.iter().map(|column| ColumnBuilder::new(column.kind)).collect(),
            rows: 0,
            bytes: 0,
            waiting_since: None,
        }
    }

    /// Adds a row; gives the batch that it filled, if it did.
    pub fn push(&mut self, row: &Row) -> Result<Option<RecordBatch>, ArrowError> {
        for (column, builder) in COLUMNS.iter().zip(&mut self.columns) {
            let value = (column.get)(row);
            self.bytes += text_bytes(&value);
            builder.append(value);
        }
        self.rows += 1;
        if self.rows >= self.policy.max_rows || self.bytes >= self.policy.max_bytes {
            return self.take();
        }
        Ok(None)
    }

    /// Tells the time; gives the batch whose oldest row has waited long enough,
    /// if there is one. The age of a row counts from the first tick after it.
    pub fn tick(&mut self, now: Instant) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let since = *self.waiting_since.get_or_insert(now);
        if now.saturating_duration_since(since) < self.policy.max_age {
            return Ok(None);
        }
        self.take()
    }

    /// Gives what there is, if anything.
    pub fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        self.rows = 0;
        self.bytes = 0;
        self.waiting_since = None;
        let mut built = self.columns.iter_mut().map(ColumnBuilder::finish);
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        for ((group, columns), field) in groups().zip(self.schema.fields()) {
            let mut leaves: Vec<ArrayRef> = built.by_ref().take(columns.len()).collect();
            match (group, field.data_type()) {
                (Some(_), DataType::Struct(fields)) => {
                    arrays
                        .push(Arc::new(StructArray::try_new(fields.clone(), leaves, None)?)
                            as ArrayRef)
                }
                _ => arrays.append(&mut leaves),
            }
        }
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map(Some)
    }

    /// Rows waiting for their batch.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("policy", &self.policy)
            .field("rows", &self.rows)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Builds one column.
enum ColumnBuilder {
    /// The values known beforehand, and the builder.
    Dict(&'static [&'static str], StringDictionaryBuilder<Int32Type>),
    Text(StringBuilder),
    Texts(ListBuilder<StringBuilder>),
    Methods(ListBuilder<StructBuilder>),
    Bool(BooleanBuilder),
    U16(UInt16Builder),
    U64(UInt64Builder),
    I64(Int64Builder),
    Time(TimestampNanosecondBuilder),
}

impl ColumnBuilder {
    fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Dict(values) => Self::Dict(values, dictionary(values)),
            ColumnType::Text => Self::Text(StringBuilder::new()),
            ColumnType::Texts => {
                Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(text_item()))
            }
            ColumnType::Methods => Self::Methods(
                ListBuilder::new(StructBuilder::from_fields(method_fields(), 0))
                    .with_field(method_item()),
            ),
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::U16 => Self::U16(UInt16Builder::new()),
            ColumnType::U64 => Self::U64(UInt64Builder::new()),
            ColumnType::I64 => Self::I64(Int64Builder::new()),
            ColumnType::Time => {
                Self::Time(TimestampNanosecondBuilder::new().with_timezone(TIME_ZONE))
            }
        }
    }

    fn append(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Dict(_, builder), Value::Text(text)) => builder.append_value(&text),
            (Self::Text(builder), Value::Text(text)) => builder.append_value(&text),
            (Self::Texts(builder), Value::Texts(texts)) => {
                builder.append_value(texts.iter().map(Some));
            }
            (Self::Methods(builder), Value::Methods(methods)) => {
                methods.iter().for_each(|count| append_method(builder.values(), count));
                builder.append(true);
            }
            (Self::Bool(builder), Value::Bool(it)) => builder.append_value(it),
            (Self::U16(builder), Value::Unsigned(it)) => {
                builder.append_option(u16::try_from(it).ok());
            }
            (Self::U64(builder), Value::Unsigned(it)) => builder.append_value(it),
            (Self::I64(builder), Value::Signed(it)) => builder.append_value(it),
            (Self::Time(builder), Value::Time(it)) => builder.append_value(it.as_nanos()),
            // Absent. (A value of another type cannot come from the column table: a test says so.)
            (builder, _) => builder.append_null(),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Dict(_, builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Texts(builder) => builder.append_null(),
            Self::Methods(builder) => builder.append_null(),
            Self::Bool(builder) => builder.append_null(),
            Self::U16(builder) => builder.append_null(),
            Self::U64(builder) => builder.append_null(),
            Self::I64(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Dict(values, builder) => {
                let array = builder.finish();
                *builder = dictionary(values);
                Arc::new(array)
            }
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Texts(builder) => Arc::new(builder.finish()),
            Self::Methods(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::U16(builder) => Arc::new(builder.finish()),
            Self::U64(builder) => Arc::new(builder.finish()),
            Self::I64(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
        }
    }
}

/// How many bytes of text a value brings.
fn text_bytes(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Texts(texts) => texts.iter().map(String::len).sum(),
        Value::Methods(methods) => methods.iter().map(|count| count.method.len()).sum(),
        _ => 0,
    }
}

/// A builder whose dictionary begins with `values`.
fn dictionary(values: &[&str]) -> StringDictionaryBuilder<Int32Type> {
    let values = StringArray::from_iter_values(values);
    StringDictionaryBuilder::new_with_dictionary(0, &values)
        .unwrap_or_else(|_| StringDictionaryBuilder::new())
}

fn append_method(builder: &mut StructBuilder, count: &MethodCount) {
    if let Some(method) = builder.field_builder::<StringBuilder>(0) {
        method.append_value(&count.method);
    }
    for (index, number) in [(1, count.requests), (2, count.responses), (3, count.errors)] {
        if let Some(numbers) = builder.field_builder::<UInt64Builder>(index) {
            numbers.append_value(number);
        }
    }
    builder.append(true);
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::{Array, types::TimestampNanosecondType};

    use super::super::samples;
    use super::*;

    fn policy(max_rows: usize) -> BatchPolicy {
        BatchPolicy { max_rows, ..BatchPolicy::default() }
    }

    #[test]
    fn every_column_gives_values_of_its_type() {
        for row in samples::rows() {
            for column in COLUMNS {
                let value = (column.get)(&row);
                let fits = match column.kind {
                    _ if value == Value::Null => column.nullable,
                    ColumnType::Dict(names) => {
                        let Value::Text(text) = &value else { panic!("{}", column.name) };
                        names.is_empty() || names.contains(&text.as_ref())
                    }
                    ColumnType::Text => matches!(value, Value::Text(_)),
                    ColumnType::Texts => matches!(value, Value::Texts(_)),
                    ColumnType::Methods => matches!(value, Value::Methods(_)),
                    ColumnType::Bool => matches!(value, Value::Bool(_)),
                    ColumnType::U16 => matches!(value, Value::Unsigned(0..=0xffff)),
                    ColumnType::U64 => matches!(value, Value::Unsigned(_)),
                    ColumnType::I64 => matches!(value, Value::Signed(_)),
                    ColumnType::Time => matches!(value, Value::Time(_)),
                };
                assert!(fits, "{} of {value:?}", column.name);
            }
        }
    }

    #[test]
    fn batches_by_rows() {
        let mut batcher = Batcher::new(policy(2));
        let row = samples::detection();
        assert!(batcher.push(&row).unwrap().is_none());
        assert_eq!(batcher.push(&row).unwrap().unwrap().num_rows(), 2);
        assert!(batcher.is_empty());
        assert!(batcher.push(&row).unwrap().is_none());
        assert_eq!(batcher.take().unwrap().unwrap().num_rows(), 1);
        assert!(batcher.take().unwrap().is_none());
    }

    #[test]
    fn batches_by_bytes() {
        let mut batcher = Batcher::new(BatchPolicy { max_bytes: 10_000, ..BatchPolicy::default() });
        let mut row = samples::detection();
        row.evidence = Some("x".repeat(6_000));
        assert!(batcher.push(&row).unwrap().is_none());
        assert_eq!(batcher.push(&row).unwrap().unwrap().num_rows(), 2);
    }

    #[test]
    fn batches_by_age() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut batcher = Batcher::new(BatchPolicy::default());
        assert!(batcher.tick(after(0)).unwrap().is_none());
        batcher.push(&samples::detection()).unwrap();
        assert!(batcher.tick(after(5_000)).unwrap().is_none(), "age counts from the first tick");
        assert!(batcher.tick(after(5_999)).unwrap().is_none());
        assert_eq!(batcher.tick(after(6_000)).unwrap().unwrap().num_rows(), 1);
        assert!(batcher.tick(after(9_000)).unwrap().is_none());
    }

    #[test]
    fn absent_values_are_null_and_the_rest_is_there() {
        let mut batcher = Batcher::new(policy(2));
        batcher.push(&samples::bare()).unwrap();
        let batch = batcher.push(&samples::conversation()).unwrap().unwrap();
        let mcp = batch.column_by_name("mcp").unwrap().as_struct();
        for name in ["transport", "method", "error_code", "methods", "tools"] {
            assert!(mcp.column_by_name(name).unwrap().is_null(0), "mcp.{name}");
        }
        let tools = mcp.column_by_name("tools").unwrap().as_list::<i32>().value(1);
        assert_eq!(tools.as_string::<i32>().value(0), "fetch");
        let times = batch.column_by_name("time").unwrap();
        assert_eq!(
            times.as_primitive::<TimestampNanosecondType>().value(1),
            samples::conversation().time.as_nanos()
        );
        let tls = batch.column_by_name("tls").unwrap().as_struct();
        assert_eq!(tls.null_count(), 0, "structs themselves are never null");
        assert!(tls.column_by_name("decrypted").unwrap().is_null(0));
        assert!(tls.column_by_name("decrypted").unwrap().as_boolean().value(1));
    }

    #[test]
    fn open_dictionaries_start_anew_and_closed_ones_stay() {
        let mut batcher = Batcher::new(policy(1));
        let mut dictionaries = |source: &str| {
            let mut row = samples::detection();
            row.capture.source = Some(source.to_owned());
            let batch = batcher.push(&row).unwrap().unwrap();
            let values = |array: &ArrayRef| {
                let values = array.as_dictionary::<Int32Type>().values().as_string::<i32>().clone();
                values.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
            };
            let capture = batch.column_by_name("capture").unwrap().as_struct();
            (values(capture.column(0)), values(batch.column_by_name("kind").unwrap()))
        };
        let kinds = ["detection", "conversation", "message", "threat"].map(str::to_owned).to_vec();
        assert_eq!(dictionaries("a.pcap"), (vec!["a.pcap".to_owned()], kinds.clone()));
        assert_eq!(dictionaries("b.pcap"), (vec!["b.pcap".to_owned()], kinds));
    }
}
