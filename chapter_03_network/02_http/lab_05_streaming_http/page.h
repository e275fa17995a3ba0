/*
 * page.h - the page at "/": it listens to /sse and shows what comes.
 */
#ifndef PAGE_H
#define PAGE_H

static const char page[] =
    "<!DOCTYPE html>\n"
    "<meta charset=\"utf-8\">\n"
    "<title>streaming_http</title>\n"
    "<h1>Events</h1>\n"
    "<pre id=\"log\"></pre>\n"
    "<script>\n"
    "const log = document.getElementById('log');\n"
    "const say = text => log.append(text + '\\n');\n"
    "const source = new EventSource('/sse');\n"
    "source.onopen = () => say('connected');\n"
    "source.onerror = () => say('lost; the browser connects again');\n"
    "source.onmessage = e => say(e.lastEventId + ': ' + e.data);\n"
    "source.addEventListener('gap', e => say('events before ' + e.data +\n"
    "    ' may be missing'));\n"
    "</script>\n";

#endif
