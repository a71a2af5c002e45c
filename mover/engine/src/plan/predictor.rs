//! With how many workers a run begins, learned from those before it. Pure.
//!
//! Runs are told apart by the kinds of file systems they read and wrote. How many workers turned out right is averaged with weights
//! that fall exponentially, so that a volume that has become slow or fast is followed within a few runs. A
//! run is correct with any number, and finds the right one by itself after seconds (see [`super::workers`]); this saves them.

use super::workers::MOST;

/// Weight of the newest run.
const NEWEST: f64 = 0.4;

/// The moving average of one kind of place.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Predictor {
    average: Option<f64>,
}

impl Predictor {
    /// Learns how many workers turned out right in a run; the runs come in their order.
    pub fn learn(&mut self, workers: usize) {
        let workers = workers.min(MOST) as f64;
        let average = self
            .average
            .map_or(workers, |before| before + NEWEST * (workers - before));
        self.average = Some(average);
    }

    /// Returns with how many to begin; `None` where nothing is known.
    pub fn first(&self) -> Option<usize> {
        // Between 1 and MOST.
        self.average
            .map(|average| average.round().max(1.0) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(runs: &[usize]) -> Option<usize> {
        let mut predictor = Predictor::default();
        runs.iter().for_each(|run| predictor.learn(*run));
        predictor.first()
    }

    #[test]
    fn nothing_is_foreseen_where_nothing_is_known() {
        assert_eq!(after(&[]), None);
    }

    #[test]
    fn the_second_run_begins_with_what_the_first_found() {
        assert_eq!(after(&[32]), Some(32));
        assert_eq!(after(&[2]), Some(2));
    }

    #[test]
    fn a_place_that_became_fast_is_followed_and_one_odd_run_is_not() {
        assert_eq!(after(&[32, 32, 32, 2, 2, 2, 2, 2, 2]), Some(3));
        assert_eq!(after(&[2, 2, 2, 2, 8]), Some(4));
    }

    #[test]
    fn what_a_damaged_history_says_stays_within_bounds() {
        assert_eq!(after(&[usize::MAX]), Some(MOST));
        assert_eq!(after(&[0]), Some(1));
    }
}
