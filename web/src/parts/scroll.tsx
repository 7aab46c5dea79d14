// A table that may be wider than the screen. It scrolls by itself, also by keyboard.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  const section = useRef<HTMLElement>(null);
  const [scrolls, setScrolls] = useState(false);
  useEffect(() => {
    const { current } = section;
    const observer = new ResizeObserver(() => setScrolls(current!.scrollWidth > current!.clientWidth));
    for (const element of [current!, ...current!.children]) observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return (
    // A region that scrolls must be reachable by keyboard; any other would only be one more stop.
    <section ref={section} class="scroll" tabIndex={scrolls ? 0 : undefined} aria-label={label}>
      {children}
    </section>
  );
}
