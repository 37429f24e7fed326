//! One dictionary for each column, over all batches of a file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, StructArray,
};
use arrow_schema::ArrowError;

/// The values of each dictionary column, in the order of their first coming.
/// Columns are counted as they are met walking a batch, structs inwards.
#[derive(Default)]
pub(super) struct Dictionaries(Vec<HashMap<String, i32>>);

impl Dictionaries {
    /// Takes in the values of a batch.
    pub(super) fn gather(&mut self, batch: &RecordBatch) {
        let mut index = 0;
        for column in batch.columns() {
            self.gather_column(column, &mut index);
        }
    }

    fn gather_column(&mut self, column: &ArrayRef, index: &mut usize) {
        if let Some(column) = column.as_struct_opt() {
            column.columns().iter().for_each(|column| self.gather_column(column, index));
        }
        let Some(values) = dictionary_values(column) else { return };
        if self.0.len() <= *index {
            self.0.resize_with(*index + 1, HashMap::new);
        }
        if let Some(known) = self.0.get_mut(*index) {
            for value in values.iter().flatten() {
                add(known, value);
            }
        }
        *index += 1;
    }

    /// Closes the dictionaries.
    pub(super) fn finish(self) -> Unified {
        Unified(self.0.into_iter().map(UnifiedColumn::new).collect())
    }
}

fn add(known: &mut HashMap<String, i32>, value: &str) {
    if !known.contains_key(value)
        && let Ok(next) = i32::try_from(known.len())
    {
        known.insert(value.to_owned(), next);
    }
}

/// The dictionaries of a whole file.
pub(super) struct Unified(Vec<UnifiedColumn>);

struct UnifiedColumn {
    keys: HashMap<String, i32>,
    values: ArrayRef,
}

impl UnifiedColumn {
    fn new(keys: HashMap<String, i32>) -> Self {
        let mut sorted: Vec<_> = keys.iter().collect();
        sorted.sort_unstable_by_key(|(_, key)| **key);
        let values = StringArray::from_iter_values(sorted.iter().map(|(value, _)| value));
        Self { values: Arc::new(values), keys }
    }

    /// The same column over these values.
    fn apply(
        &self,
        array: &DictionaryArray<Int32Type>,
        values: &StringArray,
    ) -> Result<ArrayRef, ArrowError> {
        let moved: Vec<Option<i32>> =
            values.iter().map(|value| self.keys.get(value?).copied()).collect();
        let keys: Int32Array =
            array.keys().iter().map(|key| *moved.get(usize::try_from(key?).ok()?)?).collect();
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(&self.values))?))
    }
}

impl Unified {
    /// The same batch over the dictionaries of the whole file.
    pub(super) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mut unified = self.0.iter();
        let columns = batch
            .columns()
            .iter()
            .map(|column| apply_column(column, &mut unified))
            .collect::<Result<_, _>>()?;
        RecordBatch::try_new(batch.schema(), columns)
    }
}

fn apply_column<'a>(
    column: &ArrayRef,
    unified: &mut impl Iterator<Item = &'a UnifiedColumn>,
) -> Result<ArrayRef, ArrowError> {
    if let Some(array) = column.as_struct_opt() {
        let columns = array
            .columns()
            .iter()
            .map(|column| apply_column(column, unified))
            .collect::<Result<_, _>>()?;
        let array = StructArray::try_new(array.fields().clone(), columns, array.nulls().cloned())?;
        return Ok(Arc::new(array));
    }
    match (column.as_dictionary_opt::<Int32Type>(), dictionary_values(column)) {
        (Some(array), Some(values)) => match unified.next() {
            Some(unified) => unified.apply(array, values),
            None => Ok(Arc::clone(column)),
        },
        _ => Ok(Arc::clone(column)),
    }
}

fn dictionary_values(column: &ArrayRef) -> Option<&StringArray> {
    column.as_dictionary_opt::<Int32Type>()?.values().as_string_opt::<i32>()
}
