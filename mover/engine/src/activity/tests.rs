use super::*;

#[test]
fn a_look_counts_for_what_each_thread_is_doing() {
    let ledger = Ledger::default();
    ledger.join();
    ledger.join();
    let scanning = during(Activity::Scan);
    ledger.look(Duration::from_millis(3));
    {
        let _reading = during(Activity::Read);
        ledger.look(Duration::from_millis(5));
        begin(Activity::Write);
        ledger.look(Duration::from_millis(7));
    }
    // Again what it did before.
    ledger.look(Duration::from_millis(11));
    drop(scanning);
    ledger.look(Duration::from_millis(13));
    let expected = Spent {
        scan: Duration::from_millis(14),
        read: Duration::from_millis(5),
        write: Duration::from_millis(7),
        ..Spent::default()
    };
    assert_eq!(ledger.spent(), expected);
}

#[test]
fn threads_are_counted_together_and_not_after_their_end() {
    let ledger = Ledger::default();
    std::thread::scope(|scope| {
        let work = || {
            ledger.join();
            let _deleting = during(Activity::Delete);
            ledger.look(Duration::from_secs(1));
        };
        let threads = [scope.spawn(work), scope.spawn(work)];
        // A scope alone does not wait until what belongs to a thread is gone.
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let spent = ledger.spent().delete;
    assert!(spent >= Duration::from_secs(2), "{spent:?}");
    ledger.look(Duration::from_secs(1));
    assert_eq!(ledger.spent().delete, spent);
    assert_eq!(lock(&ledger.threads).len(), 0);
}

#[test]
fn watching_ends_when_the_book_is_closed() {
    let ledger = Ledger::default();
    std::thread::scope(|scope| {
        ledger.join();
        let _finishing = during(Activity::Metadata);
        scope.spawn(|| ledger.watch());
        // The watcher takes its first look on its own.
        while ledger.spent().metadata.is_zero() {
            std::thread::yield_now();
        }
        ledger.close();
    });
}
