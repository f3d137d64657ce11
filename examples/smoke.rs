//! x
use std::time::*;
fn main(){
  let h = lisle::go(||42); println!("{}", h.join().unwrap());
  lisle::run(||{
    let n=1_000_000u32;
    for _ in 0..3 {
    let t=Instant::now();
    for _ in 0..n { lisle::go(||()).join().unwrap(); }
    println!("spawn_join {:?}", t.elapsed()/n);
    let t=Instant::now();
    let hs = [(); 2].map(|_| lisle::go_local(move || for _ in 0..n {lisle::yield_now()}));
    for h in hs {h.join().unwrap();}
    println!("yield {:?}", t.elapsed()/(2*n));
    let t=Instant::now();
    let a = lisle::go_local(move || { for _ in 0..n {lisle::park()}});
    let ag = a.goroutine();
    let b = lisle::go_local(move || { for _ in 0..n {ag.unpark(); lisle::yield_now();}; });
    b.join().unwrap(); a.goroutine().unpark(); a.join().unwrap();
    println!("park/unpark+yield {:?}", t.elapsed()/(n));
    let t=Instant::now();
    let c = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    for _ in 0..2*n { let c=c.clone(); lisle::go(move||{c.fetch_add(1,std::sync::atomic::Ordering::Relaxed);}); }
    let t2=t.elapsed();
    while c.load(std::sync::atomic::Ordering::Relaxed) < 2*n { lisle::yield_now() }
    println!("spawn_done {:?} (spawn alone {:?})", t.elapsed()/(2*n), t2/(2*n));
    }
    let t=Instant::now();
    let hs: Vec<_> = (0..100_000).map(|i| lisle::go(move || lisle::time::sleep(Duration::from_millis(1+i%100)))).collect();
    for h in hs {h.join().unwrap();}
    println!("sleepers {:?}", t.elapsed());
    println!("{:?}", lisle::metrics());
  });
}
