//! Prints how long things take; asserts nothing about it.

use super::*;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn prints_how_long_pods_take() {
    for layers in [WritableLayers::StateFolder, WritableLayers::Memory] {
        print_times(layers);
    }
}

fn print_times(layers: WritableLayers) {
    let clock = SystemClock::new();
    let Some(machine) = Machine::with("prints_how_long_pods_take", layers) else { return };
    let started = clock.moment();
    let one = |name: &str| {
        let begin = clock.moment();
        let pod = machine.run_sandbox(name);
        let middle = clock.moment();
        machine.runtime.start_container(&pod, &machine.script(name, "sleep 1000")).unwrap();
        let end = clock.moment();
        (middle.since(begin), end.since(middle))
    };
    let (sandboxes, containers): (Vec<_>, Vec<_>) = (0..20).map(|n| one(&format!("one{n}"))).unzip();
    let removals = (0..20).map(|n| {
        let begin = clock.moment();
        machine.runtime.remove_sandbox(&SandboxId(format!("one{n}"))).unwrap();
        clock.moment().since(begin)
    });
    let removal = median(removals.collect());
    eprintln!(
        "{layers:?}, one at a time: start {started:?}, sandbox p50 {:?}, container p50 {:?}, removal p50 {removal:?}",
        median(sandboxes),
        median(containers)
    );
    let begin = clock.moment();
    let next = AtomicU32::new(0);
    let times = parking_lot::Mutex::new(Vec::new());
    let all = |each: &(dyn Fn(u32) + Sync)| {
        next.store(0, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= 100 {
                            return;
                        }
                        each(number);
                    }
                });
            }
        });
    };
    all(&|number| {
        let took = one(&format!("many{number}"));
        times.lock().push(took);
    });
    let total = clock.moment().since(begin);
    let (sandboxes, containers): (Vec<_>, Vec<_>) = times.lock().drain(..).unzip();
    let begin = clock.moment();
    all(&|number| machine.runtime.remove_sandbox(&SandboxId(format!("many{number}"))).unwrap());
    let removal = clock.moment().since(begin);
    eprintln!(
        "100 by 16 threads: {total:?} in all, sandbox p50 {:?}, container p50 {:?}, removal {removal:?} in all",
        median(sandboxes),
        median(containers)
    );
    let begin = clock.moment();
    machine.runtime.shutdown().unwrap();
    eprintln!("shutdown: {:?}", clock.moment().since(begin));
}
