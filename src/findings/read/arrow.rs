//! Rows out of record batches, of mcpwatch or rewritten by another tool: texts
//! may be plain, large, views or dictionary-encoded.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt16Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, LargeStringArray, ListArray, RecordBatch,
    StringArray, StringViewArray, TimestampNanosecondArray, UInt16Array, UInt64Array,
};

use super::{Fault, assemble};
use crate::findings::column::{COLUMNS, Column, ColumnType, Value};
use crate::findings::row::{MethodCount, Row};
use crate::time::Timestamp;

/// The rows of a batch.
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<Row>, Fault> {
    let mut views = Vec::with_capacity(COLUMNS.len());
    for column in COLUMNS {
        let view = match find(batch, column) {
            Some(array) => {
                Some(View::new(column.kind, array).ok_or(Fault { row: 0, column: column.name })?)
            }
            None => None,
        };
        views.push(view);
    }
    (0..batch.num_rows())
        .map(|row| {
            assemble(|index| views.get(index)?.as_ref()?.value(row))
                .map_err(|column| Fault { row: row as u64, column })
        })
        .collect()
}

fn find<'a>(batch: &'a RecordBatch, column: &Column) -> Option<&'a ArrayRef> {
    match column.path() {
        (Some(group), name) => batch.column_by_name(group)?.as_struct_opt()?.column_by_name(name),
        (None, name) => batch.column_by_name(name),
    }
}

/// A column's array, by its type.
enum View<'a> {
    Text(Texts<'a>),
    List(&'a ListArray, Texts<'a>),
    Methods(&'a ListArray, Methods<'a>),
    Bool(&'a BooleanArray),
    U16(&'a UInt16Array),
    U64(&'a UInt64Array),
    I64(&'a Int64Array),
    Time(&'a TimestampNanosecondArray),
}

impl<'a> View<'a> {
    fn new(kind: ColumnType, array: &'a ArrayRef) -> Option<Self> {
        match kind {
            ColumnType::Dict(_) | ColumnType::Text => Texts::new(array).map(Self::Text),
            ColumnType::Texts => {
                let list = array.as_list_opt::<i32>()?;
                Some(Self::List(list, Texts::new(list.values())?))
            }
            ColumnType::Methods => {
                let list = array.as_list_opt::<i32>()?;
                Some(Self::Methods(list, Methods::new(list.values())?))
            }
            ColumnType::Bool => array.as_boolean_opt().map(Self::Bool),
            ColumnType::U16 => array.as_primitive_opt::<UInt16Type>().map(Self::U16),
            ColumnType::U64 => array.as_primitive_opt::<UInt64Type>().map(Self::U64),
            ColumnType::I64 => array.as_primitive_opt::<Int64Type>().map(Self::I64),
            ColumnType::Time => array.as_primitive_opt::<TimestampNanosecondType>().map(Self::Time),
        }
    }

    /// The value in a row; `None` where it is null.
    fn value(&self, row: usize) -> Option<Value<'a>> {
        match self {
            Self::Text(texts) => texts.value(row).map(|text| Value::Text(Cow::Borrowed(text))),
            Self::List(list, texts) => {
                let texts = elements(list, row)?.map(|at| texts.value(at).map(str::to_owned));
                Some(Value::Texts(Cow::Owned(texts.collect::<Option<_>>()?)))
            }
            Self::Methods(list, methods) => {
                let methods = elements(list, row)?.map(|at| methods.value(at));
                Some(Value::Methods(Cow::Owned(methods.collect::<Option<_>>()?)))
            }
            Self::Bool(array) => array.is_valid(row).then(|| Value::Bool(array.value(row))),
            Self::U16(array) => {
                array.is_valid(row).then(|| Value::Unsigned(array.value(row).into()))
            }
            Self::U64(array) => array.is_valid(row).then(|| Value::Unsigned(array.value(row))),
            Self::I64(array) => array.is_valid(row).then(|| Value::Signed(array.value(row))),
            Self::Time(array) => {
                array.is_valid(row).then(|| Value::Time(Timestamp::from_nanos(array.value(row))))
            }
        }
    }
}

/// Where the elements of the list in a row stand.
fn elements(list: &ListArray, row: usize) -> Option<std::ops::Range<usize>> {
    if list.is_null(row) {
        return None;
    }
    let offset = |at: usize| list.value_offsets().get(at).and_then(|it| usize::try_from(*it).ok());
    Some(offset(row)?..offset(row + 1)?)
}

/// An array of texts, in any of Arrow's forms.
enum Texts<'a> {
    Plain(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
    Dict { array: &'a ArrayRef, keys: Vec<usize>, values: Box<Texts<'a>> },
}

impl<'a> Texts<'a> {
    fn new(array: &'a ArrayRef) -> Option<Self> {
        if let Some(dictionary) = array.as_any_dictionary_opt() {
            // Without values there are no keys to speak of, and none may be asked for.
            let keys = match dictionary.values().is_empty() {
                true => Vec::new(),
                false => dictionary.normalized_keys(),
            };
            let values = Box::new(Self::new(dictionary.values())?);
            return Some(Self::Dict { array, keys, values });
        }
        array
            .as_string_opt::<i32>()
            .map(Self::Plain)
            .or_else(|| array.as_string_opt::<i64>().map(Self::Large))
            .or_else(|| array.as_string_view_opt().map(Self::View))
    }

    fn value(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Plain(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Dict { array, keys, values } => {
                if array.is_null(row) {
                    return None;
                }
                values.value(*keys.get(row)?)
            }
        }
    }
}

/// The elements of `mcp.methods`.
struct Methods<'a> {
    method: Texts<'a>,
    requests: &'a UInt64Array,
    responses: &'a UInt64Array,
    errors: &'a UInt64Array,
}

impl<'a> Methods<'a> {
    fn new(array: &'a ArrayRef) -> Option<Self> {
        let array = array.as_struct_opt()?;
        let numbers = |name| array.column_by_name(name)?.as_primitive_opt::<UInt64Type>();
        Some(Self {
            method: Texts::new(array.column_by_name("method")?)?,
            requests: numbers("requests")?,
            responses: numbers("responses")?,
            errors: numbers("errors")?,
        })
    }

    fn value(&self, at: usize) -> Option<MethodCount> {
        Some(MethodCount {
            method: self.method.value(at)?.to_owned(),
            requests: self.requests.value(at),
            responses: self.responses.value(at),
            errors: self.errors.value(at),
        })
    }
}
